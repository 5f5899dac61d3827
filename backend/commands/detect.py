"""`crossfade detect IMAGE…`: pictures through the backend, and who served them, and why."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from backend.commands.asking import add_asking, backend_of
from backend.commands.words import Commands, complain_of, tell
from backend.settings import DETECTORS, Settings
from backend.sides import SIDES
from backend.stack.backend_api import BackendApi
from backend.stack.errors import StackError

AUTO = "auto"


def add_words(commands: Commands) -> None:
    detect = add_asking(
        commands, "detect", _detect, "send pictures to the backend and print what they show, who served them, and why",
        "  crossfade detect door.jpg\n"
        "  crossfade detect door.jpg --backend triton --detector yolo26     a forced side never falls back\n"
        "  crossfade detect *.jpg --json | jq .detections                   one line a picture",
    )  # fmt: skip
    detect.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    detect.add_argument(
        "--backend", choices=(AUTO, *SIDES), default=AUTO, help="auto: as the rollout decides"
    )
    detect.add_argument("--detector", help=f"{' or '.join(DETECTORS)} (TRITON_MODEL, rtdetr)")
    detect.add_argument("--camera", help="as which camera's picture it is decided")
    detect.add_argument(
        "--min-confidence", type=float, metavar="SCORE", help="(TRITON_CONFIDENCE_THRESHOLD, 0.5)"
    )
    detect.add_argument("--json", action="store_true", help="one line of JSON a picture")


def _detect(args: argparse.Namespace, settings: Settings) -> int:
    api = backend_of(args, settings)
    done = [_detect_one(api, image, args) for image in args.images]
    return 0 if all(done) else 1


def _detect_one(api: BackendApi, image: Path, args: argparse.Namespace) -> bool:
    try:
        answer = api.detect(
            image.read_bytes(), detector=args.detector, camera=args.camera, min_confidence=args.min_confidence,
            backend=None if args.backend == AUTO else args.backend,
        )  # fmt: skip
    except (OSError, StackError) as error:
        complain_of(error, str(image))
        return False
    if args.json:
        tell(json.dumps({"file": str(image), **answer}))
    else:
        tell(str(image), *_table(answer), _served(answer))
    return True


def _table(answer: dict[str, Any]) -> list[str]:
    lines = [f"  {'class':12} {'score':>5}   x, y, width, height"]
    for found in answer["detections"]:
        box = ", ".join(f"{found['bbox'][side]:.0f}" for side in ("x", "y", "width", "height"))
        lines.append(f"  {found['class']:12} {found['confidence']:5.2f}   {box}")
    return lines if len(lines) > 1 else ["  nothing found"]


def _served(answer: dict[str, Any]) -> str:
    by, took = answer["served_by"], answer["timing_ms"]
    why = f"{by['reason']}, bucket {by['bucket']:,}, flags {by['flag_version']}"
    if by["fallback_reason"]:
        why += f"; fell back: {by['fallback_reason']}"
    size = f"{answer['image']['width']} x {answer['image']['height']}"
    return (
        f"  {len(answer['detections'])} in {size} pixels, by {by['detector']} {by['model_version']} on {by['backend']} "
        f"({why}), {took['total']:.0f} ms, {by['attempts']} attempt{'s' * (by['attempts'] != 1)}"
    )
