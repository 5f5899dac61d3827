"""What a detector saw: boxes in float pixels of the upright image, checked once, then frozen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from ai.core.errors import InvalidDetections
from ai.core.labels import COCO_80

Rows = npt.NDArray[np.float32]
"""Boxes as models answer them: [n, 6] of x1, y1, x2, y2, score, class id."""

Row = Sequence[float]
Table = npt.NDArray[np.float64]

_LEAST = np.array((-1.0, -1.0, -1.0, -1.0, 0.0, 0.0))


class Detection(
    NamedTuple
):  # tens of them are made on each request: a frozen dataclass takes four times as long
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

    def or_lower(self, other: Thresholds) -> Thresholds:
        """The lower one of both, for each class."""
        classes = self.by_class.keys() | other.by_class.keys()
        by_class = {class_id: min(self.of(class_id), other.of(class_id)) for class_id in classes}
        return Thresholds(min(self.default, other.default), by_class)


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
        if rows.ndim != 2 or rows.shape[1] != 6 or rows.dtype.kind not in "fiu":
            raise InvalidDetections(
                f"detections must be numbers of shape [n, 6], not {rows.dtype} {list(rows.shape)}"
            )
        return cls.from_table(rows.astype(np.float64).tolist(), image_width, image_height, labels)

    @classmethod
    def from_table(
        cls, table: Iterable[Row], image_width: int, image_height: int, labels: tuple[str, ...] = COCO_80
    ) -> Detections:
        """The same from plain numbers."""
        if image_width <= 0 or image_height <= 0:
            raise InvalidDetections(
                f"an image of {image_width} x {image_height} pixels cannot hold detections"
            )
        right, bottom, classes = image_width + 1, image_height + 1, len(labels)
        items: list[Detection] = []
        for row in table:
            x1, y1, x2, y2, score, class_id = row
            # No comparison with NaN holds, so this chain refuses whatever cannot be true.
            if not (-1 <= x1 < x2 <= right and -1 <= y1 < y2 <= bottom and 0 <= score <= 1
                    and 0 <= class_id < classes and class_id.is_integer()):  # fmt: skip
                why = _why(row, image_width, image_height, classes)
                raise InvalidDetections(f"detection {len(items)} {why}: {list(row)}")
            items.append(Detection(x1, y1, x2, y2, score, int(class_id), labels[int(class_id)]))
        items.sort(key=_score, reverse=True)
        return cls(tuple(items), image_width, image_height)

    def above(self, thresholds: Thresholds) -> Detections:
        kept = tuple(item for item in self.items if item.score >= thresholds.of(item.class_id))
        return Detections(kept, self.image_width, self.image_height)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.items)


def checked(table: Table, image_width: int, image_height: int, classes: int) -> Table:
    """What `Detections.from_table` would hold or refuse, as a table: for who passes rows on and needs no objects."""
    right, bottom = image_width + 1, image_height + 1
    class_ids = table[:, 5]
    # As above, no comparison with NaN holds.
    within = (table >= _LEAST) & (table <= (right, bottom, right, bottom, 1, classes - 1))
    if not (
        within.all() and (table[:, :2] < table[:, 2:4]).all() and (class_ids == np.rint(class_ids)).all()
    ):
        return _refused(table, image_width, image_height, classes)
    best_first: Table = table[np.argsort(-table[:, 4], kind="stable")]
    return best_first


def _refused(table: Table, image_width: int, image_height: int, classes: int) -> NoReturn:
    """By the first row that cannot be true, in the words that are always used."""
    Detections.from_table(table.tolist(), image_width, image_height, tuple(map(str, range(classes))))
    raise AssertionError("one of two checks of the same rows is wrong")


def _score(detection: Detection) -> float:
    return detection.score


def _why(row: Row, width: int, height: int, classes: int) -> str:
    """What is wrong with a row that was refused."""
    x1, y1, x2, y2, score, class_id = row
    if not all(map(math.isfinite, row)):
        return "holds NaN or an infinity"
    if not 0 <= score <= 1:
        return "has a score outside 0..1"
    if not (0 <= class_id < classes and class_id.is_integer()):
        return f"has a class outside 0..{classes - 1}"
    if x2 <= x1 or y2 <= y1:
        return "has an inverted or empty box"
    return f"lies outside the image of {width} x {height} pixels"
