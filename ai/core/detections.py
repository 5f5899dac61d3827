"""What a detector saw: boxes in float pixels of the upright image, checked once, then frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ai.core.errors import InvalidDetections
from ai.core.labels import COCO_80

Rows = npt.NDArray[np.float32]
"""Boxes as models answer them: [n, 6] of x1, y1, x2, y2, score, class id."""


@dataclass(frozen=True, slots=True)
class Detection:
    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    class_id: int
    label: str

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least score that counts as seen: one for every class, and exceptions by class id."""

    default: float = 0.5
    by_class: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for value in (self.default, *self.by_class.values()):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"a confidence threshold must be from 0 to 1, not {value}")

    def of(self, class_id: int) -> float:
        return self.by_class.get(class_id, self.default)


@dataclass(frozen=True, slots=True)
class Detections:
    """One image's detections, highest score first. Empty means: looked, and saw nothing."""

    items: tuple[Detection, ...]
    image_width: int
    image_height: int

    @classmethod
    def from_rows(
        cls, rows: npt.NDArray[Any], image_width: int, image_height: int, labels: tuple[str, ...] = COCO_80
    ) -> Detections:
        """Check a model's rows and freeze them; the first that cannot be true raises InvalidDetections."""
        checked = _checked(rows, image_width, image_height, labels)
        order = np.argsort(-checked[:, 4], kind="stable")
        items = tuple(
            Detection(x1, y1, x2, y2, score, int(class_id), labels[int(class_id)])
            for x1, y1, x2, y2, score, class_id in checked[order].tolist()
        )
        return cls(items, image_width, image_height)

    def above(self, thresholds: Thresholds) -> Detections:
        kept = tuple(item for item in self.items if item.score >= thresholds.of(item.class_id))
        return Detections(kept, self.image_width, self.image_height)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.items)


def _checked(
    rows: npt.NDArray[Any], width: int, height: int, labels: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    if width <= 0 or height <= 0:
        raise InvalidDetections(f"an image of {width} x {height} pixels cannot hold detections")
    if rows.ndim != 2 or rows.shape[1] != 6 or not np.issubdtype(rows.dtype, np.number):
        raise InvalidDetections(
            f"detections must be numbers of shape [n, 6], not {rows.dtype} {list(rows.shape)}"
        )
    table = rows.astype(np.float64)
    scores, classes = table[:, 4], table[:, 5]
    _refuse(~np.isfinite(table).all(axis=1), table, "holds NaN or an infinity")
    _refuse((scores < 0) | (scores > 1), table, "has a score outside 0..1")
    _refuse((classes != np.floor(classes)) | (classes < 0) | (classes >= len(labels)), table,
            f"has a class outside 0..{len(labels) - 1}")  # fmt: skip
    _refuse(
        (table[:, 2] <= table[:, 0]) | (table[:, 3] <= table[:, 1]), table, "has an inverted or empty box"
    )
    outside = (table[:, :2] < -1).any(axis=1) | (table[:, 2] > width + 1) | (table[:, 3] > height + 1)
    _refuse(outside, table, f"lies outside the image of {width} x {height} pixels")
    return table


def _refuse(bad: npt.NDArray[np.bool_], table: npt.NDArray[np.float64], why: str) -> None:
    if bad.any():
        index = int(np.argmax(bad))
        raise InvalidDetections(f"detection {index} {why}: {table[index].tolist()}")
