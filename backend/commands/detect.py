"""`crossfade detect IMAGE…`: pictures through the backend, and who served them, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai.core.errors import CrossfadeError
from ai.terminal.interrupting import ended_at_once
from backend.commands.asking import add_asking, backend_of
from backend.commands.statuses import Status, status_of, worst_of
from backend.commands.terminal import colour, table
from backend.commands.words import Commands, complain_of, tell
from backend.settings import DETECTORS, Settings
from backend.sides import SIDES
from backend.stack.backend_api import BackendApi
from backend.stack.errors import StackError
from backend.stack.sample_table import agreement, answered

if TYPE_CHECKING:
    from backend.commands.drawing import Album

AUTO, BOTH = "auto", "both"
Answer = Mapping[str, Any]


def add_words(commands: Commands) -> None:
    detect = add_asking(
        commands, "detect", _detect, "send pictures to the backend and print what they show, who served them, and why",
        "  crossfade detect door.jpg\n"
        "  crossfade detect door.jpg --backend triton --detector yolo26     a forced side never falls back\n"
        "  crossfade detect door.jpg --backend both --save-dir seen         both sides' boxes in one picture\n"
        "  crossfade detect *.jpg --json | jq .detections                   one line a picture\n"
        "A forced side and both need an admin's key. Exit status 4 where the backend refuses, 3 where there is none.",
    )  # fmt: skip
    detect.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG or WebP")
    detect.add_argument(
        "--backend", choices=(AUTO, *SIDES, BOTH), default=AUTO, help="auto: as the rollout decides"
    )
    detect.add_argument("--detector", help=f"{' or '.join(DETECTORS)} (TRITON_MODEL, rtdetr)")
    detect.add_argument("--camera", help="as which camera's picture it is decided")
    detect.add_argument(
        "--min-confidence", type=float, metavar="SCORE", help="(TRITON_CONFIDENCE_THRESHOLD, 0.5)"
    )
    detect.add_argument(
        "--save-dir", type=Path, metavar="DIR", help="each picture with its boxes, as NAME.boxes.jpg"
    )
    detect.add_argument(
        "--json", action="store_true", help="one line of JSON a picture; with both, a table by side"
    )


def _detect(args: argparse.Namespace, settings: Settings) -> int:
    album = _album(args, settings) if args.save_dir else None
    asking = _Asking(backend_of(args, settings), args, album)
    return worst_of([asking.about(image) for image in args.images])


def _album(args: argparse.Namespace, settings: Settings) -> Album:
    """What decodes and draws is imported by who wants it."""
    with ended_at_once():
        from backend.commands.drawing import Album  # noqa: PLC0415
    return Album(args.save_dir, args.images, settings.image_limits)


@dataclass(frozen=True, slots=True)
class _Asking:
    api: BackendApi
    args: argparse.Namespace
    album: Album | None

    def about(self, image: Path) -> Status:
        """What was found is told also where it cannot be drawn."""
        try:
            encoded = image.read_bytes()
            answers = {side: self._asked(encoded, side) for side in self._sides}
        except OSError as error:
            return _failed(image, StackError(f"cannot be read: {error.strerror or error}"))
        except CrossfadeError as error:
            return _failed(image, error)
        saved, status = self._saved(image, encoded, answers)
        if self.args.json:
            tell(json.dumps({"file": str(image), **self._document(answers), **saved}))
        else:
            tell(str(image), *_described(answers), *(f"  {name} {place}" for name, place in saved.items()))
        return status

    @property
    def _sides(self) -> tuple[str, ...]:
        return SIDES if self.args.backend == BOTH else (self.args.backend,)

    def _asked(self, encoded: bytes, side: str) -> Answer:
        return self.api.detect(
            encoded, detector=self.args.detector, camera=self.args.camera,
            min_confidence=self.args.min_confidence, backend=None if side == AUTO else side,
        )  # fmt: skip

    def _saved(
        self, image: Path, encoded: bytes, answers: Mapping[str, Answer]
    ) -> tuple[dict[str, str], Status]:
        if self.album is None:
            return {}, Status.DONE
        found = {one["served_by"]["backend"]: one["detections"] for one in answers.values()}
        try:
            return {"saved": str(self.album.keep(image, encoded, found))}, Status.DONE
        except CrossfadeError as error:
            return {}, _failed(image, error)

    def _document(self, answers: Mapping[str, Answer]) -> Mapping[str, Any]:
        return answers if self.args.backend == BOTH else answers[self.args.backend]


def _failed(image: Path, error: Exception) -> Status:
    complain_of(error, str(image))
    return status_of(error)


def _described(answers: Mapping[str, Answer]) -> list[str]:
    lines = [line for one in answers.values() for line in (*_table(one), _served(one))]
    if len(answers) == len(SIDES):
        one, other = (
            answered(answers[side]["served_by"]["detector"], side, {**answers[side]}) for side in SIDES
        )
        lines.append(f"  {agreement(one, other)}")
    return lines


def _table(answer: Answer) -> list[str]:
    rows = [
        (found["class"], f"{found['confidence']:.2f}", *(f"{found['bbox'][side]:.0f}" for side in _BOX))
        for found in answer["detections"]
    ]
    return table(("class", "score", *_BOX), rows, indent="  ") if rows else ["  nothing found"]


_BOX = ("x", "y", "width", "height")


def _served(answer: Answer) -> str:
    by, took = answer["served_by"], answer["timing_ms"]
    why = f"{by['reason']}, bucket {by['bucket']:,}, flags {by['flag_version']}"
    if by["fallback_reason"]:
        why += colour(f"; fell back: {by['fallback_reason']}", "warn")
    size = f"{answer['image']['width']} x {answer['image']['height']}"
    who = " ".join(filter(None, (by["detector"], by["model_version"], "on", by["backend"])))
    return (
        f"  {len(answer['detections'])} in {size} pixels, by {who} "
        f"({why}), {took['total']:.0f} ms, {by['attempts']} attempt{'s' * (by['attempts'] != 1)}"
    )
