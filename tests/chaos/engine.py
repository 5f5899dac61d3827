"""A model that takes as long as it is told, and answers from the pixels that it is shown.

So two cores carry many requests, each is under way long enough to be hit by a fault, and whoever is given another's
answer, or one from spoiled pixels, is found out. Everything around it is the real thing, on both sides.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ai.core.image import decode
from ai.core.processing import finish, prepare
from ai.core.spec import DetectorSpec

SPEC = DetectorSpec(
    name="scripted", title="Scripted", input_name="images", input_width=64, input_height=64, fit="stretch",
    output_name="rows", max_detections=5, score_floor=0.05, labels=("cat", "dog"),
)  # fmt: skip
SCORE = 0.75
CORNER = (4.0, 4.0, 34.0, 34.0)  # of the box, and how far brightness moves each of its sides
MOVES = 24.0


class Orders:
    """What a model is told, from a file that it reads at every execution: `{"takes_s": 0.01}`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    def give(self, words: Mapping[str, Any]) -> None:
        aside = self.file.with_suffix(".part")
        aside.write_text(json.dumps(dict(words)))
        aside.replace(self.file)


@dataclass(frozen=True)
class WaitingEngine:
    """`takes_s` for a batch, `each_s` for each of its pictures."""

    orders: Orders
    device: str = "cpu"

    def infer(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        told = self.orders.read()
        time.sleep(told.get("takes_s", 0.0) + told.get("each_s", 0.0) * len(pixels))
        return seen_in(pixels)


def seen_in(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """One box for each picture: how bright its quarters are moves the four sides."""
    rows = np.full((len(pixels), SPEC.max_detections, 6), -1, np.float32)
    half = SPEC.input_width // 2
    quarters = [pixels[:, :, top : top + half, left : left + half] for top in (0, half) for left in (0, half)]
    for side, quarter in enumerate(quarters):
        rows[:, 0, side] = CORNER[side] + MOVES * quarter.mean(axis=(1, 2, 3)) / 255
    rows[:, 0, 4:] = SCORE, 1
    return rows


def box_of(jpeg: bytes) -> tuple[float, float, float, float]:
    """Left, top, width and height of what either side must find in this picture."""
    ready = prepare(decode(jpeg), SPEC)
    (found,) = finish(seen_in(ready.pixels[None])[0], ready.fit, SPEC)
    return found.x1, found.y1, found.x2 - found.x1, found.y2 - found.y1
