"""The words of `crossfade models`; they need none of what its work needs, so that a wrong one is told at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

from ai.terminal.words import Words

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

ALSO = ("tensors", "raw", "tiers")
BUILD_ENGINES = ("openvino", "onnxruntime", "torch", "tensorrt")
PRECISIONS = ("f32", "bf16", "int8")
# Enough to judge by. FP32 engines differ by nothing; FP16 by rounding, which 64 scenes once showed as 0.0012 of mAP
# and 400 as 0.0004 (RT-DETR, H200, legacy in FP16 too).
SCENES_ON_CPU, SCENES_ON_GPU = 64, 400

ABOUT = "build, list, add and compare what a Triton serves"
EXAMPLES = """  crossfade models build                                both detectors, for this CPU
  crossfade models parity                               does Triton see what legacy sees?
  crossfade models add yard.pt                          a detector of your own: brought, built, compared
  crossfade models list"""


def parser() -> argparse.ArgumentParser:
    words = Words(prog="crossfade models", description=f"{ABOUT[0].upper()}{ABOUT[1:]}.", epilog=EXAMPLES)
    words.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    add_to(words)
    return words


def add_to(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="WHAT", dest="what")
    for each in (_build_words, _add_words, _parity_words, _list_words):
        words = each(commands)
        words.add_argument(
            "--repository", type=Path, metavar="FOLDER",
            help="the repository's folder (default: TRITON_REPOSITORY, or var/models)",
        )  # fmt: skip
        words.add_argument("--json", action="store_true", help="as JSON; what is said on the way, on stderr")


def _added(commands: Commands, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=examples
    )


def _build_words(commands: Commands) -> argparse.ArgumentParser:
    build = _added(
        commands, "build",
        "build the model repository, or bring it up to date; a Triton that runs with it takes what is new",
        "  crossfade models build                                      what changed, for this CPU\n"
        "  crossfade models build yolo26 --engine torch                for a GPU: FP16\n"
        "  crossfade models build yolo26 --engine torch --tuned\n"
        "  crossfade models build yolo26 --precision int8 --calibrate pictures/ --max-loss 0.02\n"
        "  crossfade models build --also tensors tiers                 more models of each detector",
    )  # fmt: skip
    build.add_argument("detectors", nargs="*", metavar="DETECTOR", help="default: all")
    build.add_argument(
        "--engine", choices=BUILD_ENGINES, default="openvino",
        help="openvino (CPU, the default), onnxruntime (CPU), torch (GPU), tensorrt (for NVIDIA's container)",
    )  # fmt: skip
    build.add_argument("--precision", choices=PRECISIONS, help="of the engine openvino (default: f32)")
    build.add_argument("--calibrate", type=Path, metavar="FOLDER", help="pictures that int8 is scaled with")
    build.add_argument(
        "--max-loss", type=_share, default=0.01, metavar="LOSS",
        help="of mAP50-95: an int8 or scaled build that differs by more is not kept (default: %(default)s)",
    )  # fmt: skip
    build.add_argument(
        "--decode", choices=("gpu", "cpu", "scaled"), default="gpu",
        help="of JPEGs: gpu or cpu with the engine torch; scaled: on the CPU, at 1/2, 1/4 or 1/8 where the network's "
        "input needs no more, which is compared before it is kept",
    )  # fmt: skip
    build.add_argument(
        "--compiled", type=Path, metavar="FILE", help="a TensorRT engine, also one of ultralytics"
    )
    build.add_argument(
        "--tuned", action="store_true",
        help="with the engine torch: compiled for this GPU, which takes minutes and is kept with the model",
    )  # fmt: skip
    build.add_argument(
        "--instances", type=_instances, default=0, metavar="N",
        help="of each model (default: what its spec says; or else one, and four of what decodes on a GPU)",
    )  # fmt: skip
    build.add_argument(
        "--also", nargs="+", choices=ALSO, default=[],
        help="more models: pixels in (tensors), NMS left to the client (raw), streaming and batch (tiers)",
    )  # fmt: skip
    build.add_argument(
        "--bounded-queue", action="store_true",
        help="Triton refuses what does not fit, drops what is late, knows priorities; and may let a request lie "
        "for half a second: docs/triton.md",
    )  # fmt: skip
    return build


def _add_words(commands: Commands) -> argparse.ArgumentParser:
    add = _added(
        commands, "add", "bring a detector of your own: a .pt of ultralytics, or an .onnx file",
        "  crossfade models add yard.pt\n"
        "  crossfade models add gate.onnx --spec gate.toml --name gate",
    )  # fmt: skip
    add.add_argument(
        "file", type=Path, metavar="FILE", help="a .pt is a pickle: opening it runs what it brought along"
    )
    add.add_argument("--name", help="what it is called here; default: its file's name")
    add.add_argument(
        "--spec", type=Path, metavar="TOML", help="describes what the file does not: docs/own-detector.md"
    )
    add.add_argument("--replace", action="store_true", help="take the place of one with this name")
    add.add_argument(
        "--no-build", action="store_true", help="only bring it; `build` and `parity` do the rest"
    )
    return add


def _parity_words(commands: Commands) -> argparse.ArgumentParser:
    parity = _added(
        commands, "parity", "does Triton see what legacy sees? exit status 1 if not",
        "  crossfade models parity                                     all that are built, on drawn scenes\n"
        "  crossfade models parity yolo26 --images val2017 --labels instances_val2017.json --scenes 500",
    )  # fmt: skip
    parity.add_argument("detectors", nargs="*", metavar="DETECTOR", help="default: all that are built")
    parity.add_argument(
        "--scenes", type=int, metavar="N",
        help=f"how many pictures (default: {SCENES_ON_CPU}, for a GPU {SCENES_ON_GPU}, of a folder all)",
    )  # fmt: skip
    parity.add_argument("--images", type=Path, metavar="FOLDER", help="your own pictures, with --labels")
    parity.add_argument("--labels", type=Path, metavar="JSON", help="their COCO annotations")
    parity.add_argument(
        "--batches", type=int, nargs="+", default=[], metavar="N",
        help="default: 1, and what the batcher prefers",
    )  # fmt: skip
    parity.add_argument("--output", type=Path, metavar="FOLDER", help="default: var/parity")
    return parity


def _list_words(commands: Commands) -> argparse.ArgumentParser:
    return _added(
        commands, "list", "what is built, and what of it serves",
        "  crossfade models list\n"
        "  crossfade models list --json | jq -r '.[].model'",
    )  # fmt: skip


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) <= 1:
        raise ValueError
    return share


def _instances(text: str) -> int:
    if (instances := int(text)) < 1:
        raise ValueError
    return instances


_instances.__name__ = "number from 1"
_share.__name__ = "number from 0 to 1"  # argparse shows it
