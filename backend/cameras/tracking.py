"""Ids that stay with what a camera sees, by ByteTrack: small whole numbers, each camera's own.

They live with the camera, not in the backend: that one keeps no state between two requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.cameras.answers import Answer
from backend.cameras.errors import CannotPlay

if TYPE_CHECKING:
    from edgefirst.tracker import ByteTrack

Floats = npt.NDArray[np.float32]

BEGIN_SCORE = 0.5  # from which a box may be somebody new; a weaker one only carries on who was there
# Measured on drawn cameras: docs/cameras.md. The library's own 0.25 and 0.25 are for thirty frames a second.
LEAST_IOU = 0.05  # what walks has moved by most of its width between two frames
FOLLOW = 1.0  # how much of a move is believed at once
LEAST_SIDE = (
    0.004  # of the picture: what is smaller overlaps for the library with nothing, not with itself either
)
LIFE_S, LIFE_FRAMES = 2.0, 5  # out of sight, whichever is longer: behind a tree, or between dropped frames


class Tracker:
    def __init__(self, camera: str, fps: float) -> None:
        """CannotPlay where the library is missing."""
        self._library, self._camera = _library(), camera
        self._life_s = max(LIFE_S, LIFE_FRAMES / fps)
        self._seen_at_s = -math.inf
        self._tracks = self._new_tracks()
        self._numbers: dict[str, int] = {}  # by the library's id, of those that live
        self.begun = 0

    def ids(self, answer: Answer, at_s: float) -> list[str | None]:
        """Of each detection, as "yard-7"; None where it is too weak to begin. `at_s`: when the picture was taken."""
        if (
            at_s - self._seen_at_s > self._life_s
        ):  # nobody lives so long unseen; the library asks only after its update
            self._tracks = self._new_tracks()
        self._seen_at_s = at_s
        found = self._tracks.update(*_arrays(answer), round(1e9 * at_s))
        numbers = [None if one is None else self._number(one.uuid) for one in found]
        self._forget()
        return [None if number is None else f"{self._camera}-{number}" for number in numbers]

    def _new_tracks(self) -> ByteTrack:
        return self._library(BEGIN_SCORE, LEAST_IOU, FOLLOW, round(1e9 * self._life_s))

    def _number(self, uuid: str) -> int:
        if uuid not in self._numbers:
            self.begun += 1
            self._numbers[uuid] = self.begun
        return self._numbers[uuid]

    def _forget(self) -> None:
        living = {one.info.uuid for one in self._tracks.get_active_tracks()}
        self._numbers = {uuid: number for uuid, number in self._numbers.items() if uuid in living}


def _arrays(answer: Answer) -> tuple[Floats, Floats, npt.NDArray[np.uintp]]:
    """Boxes in shares of the picture, as the library's examples have them, although it is the same in pixels."""
    size = np.array([answer.width, answer.height] * 2, np.float32)
    boxes = np.array([_box(found) for found in answer.detections], np.float32).reshape(-1, 4) / size
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + LEAST_SIDE)
    scores = np.array([found["confidence"] for found in answer.detections], np.float32)
    labels = np.array([found["class_id"] for found in answer.detections], np.uintp)  # it takes no other type
    return boxes, scores, labels


def _box(found: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2"""
    x, y, width, height = (float(found["bbox"][side]) for side in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def _library() -> type[ByteTrack]:
    try:
        from edgefirst.tracker import ByteTrack  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CannotPlay("--track needs ByteTrack: pip install 'crossfade[track]'") from error
    return ByteTrack
