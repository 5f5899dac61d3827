"""A drawn scene through each side of each detector, as one table: the shortest proof that both detect, and agree."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from ai.core.geometry import iou
from backend.sides import SIDES, Side
from backend.stack.backend_api import BackendApi, NotAnswered

SAME_BOX_IOU = 0.9
_HEAD = ("detector", "side", "version", "found", "best", "ms")
_PATIENCE_S = 30.0  # a side whose first probes are under way is not yet let near
_NOT_YET = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT}
_POLL_S = 0.5

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one side found, or why it was not asked or did not answer."""

    detector: str
    side: Side
    version: str = ""
    found: tuple[tuple[str, Box], ...] = ()
    best: float | None = None
    total_ms: float | None = None
    problem: str | None = None
    off: bool = False  # switched off: no fault

    @property
    def row(self) -> tuple[str, ...]:
        if self.problem is not None:
            return self.detector, self.side, "-", "switched off" if self.off else "NO ANSWER", "-", "-"
        best = "-" if self.best is None else f"{self.best:.2f}"
        return (
            self.detector,
            self.side,
            self.version or "-",
            counted(label for label, _ in self.found),
            best,
            f"{self.total_ms:.0f}",
        )


def look(
    api: BackendApi, picture: bytes, detectors: Iterable[str], sides: Sequence[Side] = SIDES
) -> list[Seen]:
    return [_asked(api, picture, detector, side) for detector in detectors for side in sides]


def table(seen: Sequence[Seen]) -> str:
    rows = [_HEAD, *(one.row for one in seen)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def verdicts(seen: Sequence[Seen]) -> Iterator[str]:
    """For each detector that two sides answered for: whether they see the same. And why a side did not answer."""
    yield from (f"{one.detector}, {one.side}: {one.problem}" for one in seen if one.problem)
    for detector in dict.fromkeys(one.detector for one in seen):
        pair = [one for one in seen if one.detector == detector and one.problem is None]
        if len(pair) == 2:
            yield f"{detector}: {agreement(*pair)}"


def agreement(one: Seen, other: Seen) -> str:
    """The same classes as often, and for each box one of the other side that covers it."""
    counts, others = (Counter(label for label, _ in side.found) for side in (one, other))
    if counts != others:
        return f"THE SIDES DISAGREE: {one.side} found {_said(counts)}, {other.side} {_said(others)}"
    least = min((_least_overlap(label, one, other) for label in counts), default=1.0)
    if least < SAME_BOX_IOU:
        return f"THE SIDES DISAGREE: same objects, but a box overlaps by {least:.3f} only"
    return f"both sides agree (same objects, boxes overlap by {least:.3f} or more)"


def counted(labels: Iterable[str]) -> str:
    return _said(Counter(labels))


def answered(detector: str, side: Side, answer: dict[str, Any]) -> Seen:
    found = answer["detections"]
    return Seen(
        detector, side, answer["served_by"]["model_version"],
        tuple((one["class"], _corners(one["bbox"])) for one in found),
        max((one["confidence"] for one in found), default=None), answer["timing_ms"]["total"],
    )  # fmt: skip


def _asked(api: BackendApi, picture: bytes, detector: str, side: Side) -> Seen:
    """The second of two calls: the first pays for connections and first times."""
    deadline = time.monotonic() + _PATIENCE_S
    try:
        for _ in range(2):
            answer = _when_it_answers(api, picture, detector, side, deadline)
        return answered(detector, side, answer)
    except NotAnswered as error:
        return Seen(detector, side, problem=str(error), off=error.status == httpx.codes.CONFLICT)


def _when_it_answers(
    api: BackendApi, picture: bytes, detector: str, side: Side, deadline: float
) -> dict[str, Any]:
    while True:
        try:
            return api.detect(picture, detector=detector, backend=side)
        except NotAnswered as error:
            if error.status not in _NOT_YET or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def _least_overlap(label: str, one: Seen, other: Seen) -> float:
    """Of the worst pair, when each box takes the one of the other side that covers it best and is still free."""
    overlaps = iou(_boxes(label, one), _boxes(label, other))
    taken = []
    for _ in range(len(overlaps)):
        row, column = np.unravel_index(np.argmax(overlaps), overlaps.shape)
        taken.append(float(overlaps[row, column]))
        overlaps[row, :] = overlaps[:, column] = -1
    return min(taken)


def _boxes(label: str, seen: Seen) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([box for name, box in seen.found if name == label])


def _corners(box: dict[str, float]) -> Box:
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {label}" for label, count in counts.most_common()) or "nothing"
