"""`crossfade models`: the detectors that a Triton here can serve, built, listed, added, compared.

Runs as `python -m ai.triton.models`, in a process of its own, because it needs torch and the command does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from ai.core.errors import CrossfadeError
from ai.engines.quantize import pictures_in
from ai.engines.weights import WeightsNotFound, WrongWeights
from ai.triton import repository
from ai.triton.building import added, catalogue
from ai.triton.building.activation import activate
from ai.triton.building.inventory import inventory
from ai.triton.embedded import record
from ai.triton.embedded.settings import EmbeddedSettings, read_settings
from ai.triton.parity import SCENES_ON_CPU, SCENES_ON_GPU, ParityOptions, run_parity
from ai.triton.repository import ALSO, BUILD_ENGINES, Built, CannotBuild, Options
from ai.triton.trial import figure_of, keep_figure

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

PRECISIONS = ("f32", "bf16", "int8")
FAILURES = (CrossfadeError, WeightsNotFound, WrongWeights)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, EmbeddedSettings], int] = args.command
    try:
        sys.exit(command(args, read_settings(triton_repository=args.repository)))
    except FAILURES as error:
        sys.exit(f"crossfade models: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _build(args: argparse.Namespace, settings: EmbeddedSettings) -> int:
    known = catalogue.all_sources(settings.crossfade_var)
    sources = {name: known[name]() for name in catalogue.choose(known, args.detectors)}
    options = _options(args)
    figures = {
        name: figure_of(settings, name, source, options, args.max_loss, print)
        for name, source in sources.items() if options.precision == "int8"
    }  # fmt: skip
    failed = 0
    for name, source in sources.items():  # one by one: what is built serves, also when the next one fails
        built = repository.build(settings.triton_repository, {name: source}, options, print)
        for one in built:
            if figure := figures.get(one.detector):
                keep_figure(settings.triton_repository, one, figure)
        failed |= _take_into_service(settings, built)
    return failed


def _options(args: argparse.Namespace) -> Options:
    if args.precision and args.engine != "openvino":
        raise CannotBuild(f"--precision {args.precision} is for --engine openvino, not {args.engine}")
    if args.precision == "int8" and args.also:
        raise CannotBuild("--precision int8 and --also do not go together: only what is compared is kept")
    if (args.precision == "int8") != bool(args.calibrate):
        raise CannotBuild("--precision int8 and --calibrate FOLDER (pictures like those to come) go together")
    if args.compiled and (
        args.engine != "tensorrt" or len(args.detectors) != 1 or not args.compiled.is_file()
    ):
        raise CannotBuild("--compiled FILE is an engine file for --engine tensorrt and one DETECTOR")
    return Options(
        engine=args.engine,
        precision=args.precision or ("f16" if args.engine in {"torch", "tensorrt"} else "f32"),
        decode=args.decode,
        also=tuple(sorted(set(args.also))),
        bounded_queue=args.bounded_queue,
        calibration=pictures_in(args.calibrate) if args.calibrate else (),
        compiled=args.compiled,
    )


def _take_into_service(settings: EmbeddedSettings, built: list[Built]) -> int:
    """A server that runs with this repository takes the new versions now."""
    triton = record.running(settings.crossfade_var)
    if triton is None or Path(triton.repository).resolve() != settings.triton_repository.resolve():
        return 0
    outcomes = activate(triton, built)
    for outcome in outcomes:
        print(outcome.sentence)
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def _add(args: argparse.Namespace, settings: EmbeddedSettings) -> int:
    """Bring it, build it, and see that Triton answers as its own network does."""
    folder = catalogue.detectors_in(settings.crossfade_var)
    name = added.add(args.file, folder, name=args.name, spec=args.spec, replace=args.replace)
    print(f"{name}: added, its spec is {folder / name / added.SPEC}")
    if args.no_build:
        return 0
    sources = {name: catalogue.all_sources(settings.crossfade_var)[name]()}
    built = repository.build(settings.triton_repository, sources, Options(), print)
    failed = _take_into_service(settings, built) or run_parity(settings, sources, ParityOptions(), print)
    if failed:
        print(f"If {name} knows other things than the drawn scenes show, compare on pictures that show them:\n"
              f"  crossfade models parity {name} --images FOLDER --labels COCO.json")  # fmt: skip
    return failed


def _parity(args: argparse.Namespace, settings: EmbeddedSettings) -> int:
    known = catalogue.all_sources(settings.crossfade_var)
    built = [name for name in known if (settings.triton_repository / f"{name}_jpeg").is_dir()]
    names = catalogue.choose(known, args.detectors or built)
    sources = {name: known[name]() for name in names}
    options = ParityOptions(args.scenes, args.images, args.labels, tuple(args.batches), args.output)
    return run_parity(settings, sources, options, print)


def _list(args: argparse.Namespace, settings: EmbeddedSettings) -> int:
    rows = inventory(settings.triton_repository, record.running(settings.crossfade_var))
    if args.json:
        print(json.dumps([row.to_table() for row in rows], indent=2))
    elif not rows:
        print(f"{settings.triton_repository} holds no models; `crossfade models build` makes some")
    else:
        print("\n".join([f"{'model':24} {'version':>7}  {'engine':12} {'input':9} {'batch':>5}  state",
                         *(str(row) for row in rows)]))  # fmt: skip
    return 0


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) <= 1:
        raise ValueError
    return share


_share.__name__ = "number from 0 to 1"  # argparse shows it


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--repository", type=Path, help="the repository's folder (default: TRITON_REPOSITORY, or var/models)"
    )
    parser = argparse.ArgumentParser(
        prog="crossfade models", description="Build and compare what a Triton serves."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for words in (_build_words, _add_words, _parity_words, _list_words):
        words(commands, common)
    return parser


def _build_words(commands: Commands, common: argparse.ArgumentParser) -> None:
    build = commands.add_parser(
        "build", parents=[common],
        help="build the model repository, or bring it up to date; a Triton that runs with it takes what is new",
    )  # fmt: skip
    build.add_argument("detectors", nargs="*", metavar="DETECTOR", help="default: all")
    build.add_argument(
        "--engine", choices=BUILD_ENGINES, default="openvino",
        help="openvino (CPU, the default), onnxruntime (CPU), torch (GPU), tensorrt (for NVIDIA's container)",
    )  # fmt: skip
    build.add_argument("--precision", choices=PRECISIONS, help="of the engine openvino (default: f32)")
    build.add_argument("--calibrate", type=Path, metavar="FOLDER", help="pictures that int8 is scaled with")
    build.add_argument(
        "--max-loss", type=_share, default=0.01,
        help="of mAP50-95: an int8 build that differs by more is not kept (default: %(default)s)",
    )  # fmt: skip
    build.add_argument(
        "--decode", choices=("gpu", "cpu"), default="gpu", help="of JPEGs, with the engine torch"
    )
    build.add_argument(
        "--compiled", type=Path, metavar="FILE", help="a TensorRT engine, also one of ultralytics"
    )
    build.add_argument(
        "--also", nargs="+", choices=ALSO, default=[],
        help="more models: pixels in (tensors), NMS left to the client (raw), streaming and batch (tiers)",
    )  # fmt: skip
    build.add_argument(
        "--bounded-queue", action="store_true",
        help="Triton refuses what does not fit, drops what is late, knows priorities; and may let a request lie "
        "for half a second: docs/triton.md",
    )  # fmt: skip
    build.set_defaults(command=_build)


def _add_words(commands: Commands, common: argparse.ArgumentParser) -> None:
    add = commands.add_parser(
        "add", parents=[common], help="bring a detector of your own: a .pt of ultralytics, or an .onnx file",
    )  # fmt: skip
    add.add_argument("file", type=Path, help="a .pt is a pickle: opening it runs what it brought along")
    add.add_argument("--name", help="what it is called here; default: its file's name")
    add.add_argument(
        "--spec", type=Path, metavar="TOML", help="describes what the file does not: docs/own-detector.md"
    )
    add.add_argument("--replace", action="store_true", help="take the place of one with this name")
    add.add_argument(
        "--no-build", action="store_true", help="only bring it; `build` and `parity` do the rest"
    )
    add.set_defaults(command=_add)


def _parity_words(commands: Commands, common: argparse.ArgumentParser) -> None:
    parity = commands.add_parser(
        "parity", parents=[common], help="does Triton see what legacy sees? exit status 1 if not",
    )  # fmt: skip
    parity.add_argument("detectors", nargs="*", metavar="DETECTOR", help="default: all that are built")
    parity.add_argument(
        "--scenes", type=int,
        help=f"how many pictures (default: {SCENES_ON_CPU}, for a GPU {SCENES_ON_GPU}, of a folder all)",
    )  # fmt: skip
    parity.add_argument("--images", type=Path, metavar="FOLDER", help="your own pictures, with --labels")
    parity.add_argument("--labels", type=Path, metavar="JSON", help="their COCO annotations")
    parity.add_argument(
        "--batches", type=int, nargs="+", default=[], help="default: 1, and what the batcher prefers"
    )
    parity.add_argument("--output", type=Path, metavar="FOLDER", help="default: var/parity")
    parity.set_defaults(command=_parity)


def _list_words(commands: Commands, common: argparse.ArgumentParser) -> None:
    listing = commands.add_parser("list", parents=[common], help="what is built, and what of it serves")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(command=_list)


if __name__ == "__main__":
    main()
