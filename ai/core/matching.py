"""Do two sides see the same in one picture? Matched box by box; what is left over gets a name. Pure.

Only what scores at least its class's threshold counts. Boxes of one class are paired by the assignment that shares the
most area; pairs under `MIN_IOU` never match. A detection so near its threshold that the other side may lawfully have
it on the other side of it is borderline, and no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ai.core.detections import Detection, Detections, Thresholds
from ai.core.geometry import iou

Kind = Literal[
    "same",
    "missed",  # by the other side
    "extra",  # on the other side
    "swapped",  # another class at the same place
    "misplaced",  # one class, the boxes share something, but too little
    "duplicate",  # a second box round what both sides have a box round
    "borderline",
]
DIFFERENCES: tuple[Kind, ...] = ("missed", "extra", "swapped", "misplaced", "duplicate")
SHARED: tuple[Kind, ...] = ("same", "swapped", "misplaced")  # both sides have a box of it

BORDER = 0.05
MIN_IOU = 0.5
MISPLACED_IOU = 0.1  # boxes that share less are two things

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
Overlaps = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    detection: Detection
    kind: Kind


@dataclass(frozen=True, slots=True)
class Pair:
    legacy: Detection
    other: Detection
    iou: float

    @property
    def score_difference(self) -> float:
        return abs(self.legacy.score - self.other.score)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One picture: what each side saw in it, what became of it, and the pairs that are the same."""

    legacy: tuple[Seen, ...]
    other: tuple[Seen, ...]
    pairs: tuple[Pair, ...]
    swaps: tuple[tuple[str, str], ...] = ()  # legacy's label, the other's

    @property
    def differences(self) -> tuple[tuple[Kind, str], ...]:
        """Kind and label of each. What both sides have a box of counts once, under legacy's label."""
        others = (seen for seen in self.other if seen.kind not in SHARED)
        return tuple(
            (seen.kind, seen.detection.label) for seen in (*self.legacy, *others) if seen.kind in DIFFERENCES
        )

    @property
    def disagreements(self) -> int:
        return len(self.differences)

    @property
    def differs(self) -> bool:
        return any(seen.kind in DIFFERENCES for seen in (*self.legacy, *self.other))

    @property
    def mean_iou(self) -> float | None:
        """Of the pairs; None where there is none."""
        return sum(pair.iou for pair in self.pairs) / len(self.pairs) if self.pairs else None

    @property
    def drift(self) -> float:
        """How far the worst pair is apart, in box and score."""
        return max((1 - pair.iou + pair.score_difference for pair in self.pairs), default=0.0)


def compare(
    legacy: Detections, other: Detections, thresholds: Thresholds | float, border: float = BORDER
) -> Comparison:
    if not isinstance(thresholds, Thresholds):
        thresholds = Thresholds(thresholds)
    a, b = _Side(legacy, thresholds, border), _Side(other, thresholds, border)
    table = _Table(a, b)
    same = table.settle("same", a.over, b.over, table.one_class)
    table.settle("borderline", a.over, b.under, table.one_class)
    table.settle("borderline", a.under, b.over, table.one_class)
    swaps = table.settle("swapped", a.over, b.over, ~table.one_class & table.sure)
    table.settle("misplaced", a.over, b.over, table.one_class & table.sure, MISPLACED_IOU)
    table.name_duplicates(same)
    pairs = tuple(Pair(a.items[i], b.items[j], float(table.overlaps[i, j])) for i, j in same)
    labels = tuple((a.items[i].label, b.items[j].label) for i, j in swaps)
    return Comparison(a.named("missed"), b.named("extra"), pairs, labels)


class _Side:
    """One side's detections that are not far under their thresholds, and the names that they have so far."""

    def __init__(self, found: Detections, thresholds: Thresholds, border: float) -> None:
        known = [(one, thresholds.of(one.class_id)) for one in found]
        near = [(one, least) for one, least in known if one.score >= least - border]
        self.items = [one for one, _ in near]
        self.over = _flags(one.score >= least for one, least in near)
        self.under = ~self.over
        self.sure = _flags(one.score >= least + border for one, least in near)
        self.classes = np.array([one.class_id for one in self.items], dtype=np.int64)
        self.boxes = np.array([one[:4] for one in self.items], dtype=np.float64).reshape(-1, 4)
        self.scores = np.array([one.score for one in self.items], dtype=np.float64)
        self.kinds: list[Kind | None] = [None] * len(self.items)

    @property
    def nameless(self) -> Flags:
        return _flags(kind is None for kind in self.kinds)

    @property
    def rank(self) -> Overlaps:
        """Of pairings that share as much, the one of the surer boxes is taken, then of those farther right and down:
        the names depend neither on the order of the boxes nor on which side is asked first."""
        places: Overlaps = self.boxes @ _RIGHT_AND_DOWN
        return places + self.scores

    def named(self, left_over: Kind) -> tuple[Seen, ...]:
        rest: list[Kind] = [left_over if sure else "borderline" for sure in self.sure]
        kinds = [kind or rest[i] for i, kind in enumerate(self.kinds)]
        return tuple(
            Seen(one, kind) for one, kind, over in zip(self.items, kinds, self.over, strict=True) if over
        )


class _Table:
    """Every box of one side against every box of the other."""

    def __init__(self, a: _Side, b: _Side) -> None:
        self._a, self._b = a, b
        self.overlaps = iou(a.boxes, b.boxes)
        self.one_class = a.classes[:, None] == b.classes[None]
        self.sure = a.sure[:, None] | b.sure[None]
        self._rank = _TIE * (a.rank[:, None] + b.rank[None] - (a.scores[:, None] - b.scores[None]) ** 2)

    def settle(
        self, kind: Kind, mine: Flags, theirs: Flags, may: Flags, least_iou: float = MIN_IOU
    ) -> list[tuple[int, int]]:
        """Pair what has no name yet on either side, and give both of a pair this one."""
        free = (mine & self._a.nameless)[:, None] & (theirs & self._b.nameless)[None]
        allowed = may & free & (self.overlaps >= least_iou)
        if not allowed.any():
            return []
        found = [pair for rows in self._apart(allowed) for pair in self._best(allowed, rows)]
        for i, j in found:
            self._a.kinds[i] = self._b.kinds[j] = kind
        return found

    def _apart(self, allowed: Flags) -> Iterator[Indices]:
        """The rows that have a choice, classes apart unless they may mix: an assignment takes the cube of their
        number, and no other thread runs meanwhile."""
        rows = np.flatnonzero(allowed.any(axis=1))
        if (allowed & ~self.one_class).any():
            yield rows
            return
        classes = self._a.classes[rows]
        yield from (rows[classes == one] for one in set(classes.tolist()))

    def _best(self, allowed: Flags, rows: Indices) -> Iterator[tuple[int, int]]:
        """The least sum of 1 − IoU, where no pair costs as much as one that shares nothing."""
        columns = np.flatnonzero(allowed[rows].any(axis=0))
        part = np.ix_(rows, columns)
        may = allowed[part]
        worth = np.where(may, self.overlaps[part] + self._rank[part], 0.0)
        for i, j in zip(*linear_sum_assignment(worth, maximize=True), strict=True):
            if may[i, j]:
                yield int(rows[i]), int(columns[j])

    def name_duplicates(self, same: Sequence[tuple[int, int]]) -> None:
        """A box that no partner is left for, round what both have a box round."""
        if not same:
            return
        mine, theirs = [i for i, _ in same], [j for _, j in same]
        boxes = np.concatenate([self._a.boxes[mine], self._b.boxes[theirs]])
        classes = np.concatenate([self._a.classes[mine], self._b.classes[theirs]])
        for side in (self._a, self._b):
            left = np.flatnonzero(side.nameless & side.sure)
            again = (iou(side.boxes[left], boxes) >= MIN_IOU) & (side.classes[left, None] == classes[None])
            for i in left[again.any(axis=1)]:
                side.kinds[i] = "duplicate"


_TIE = 1e-6  # an IoU is not known better than that
_RIGHT_AND_DOWN = np.array([1e-6, 0.7e-6, 0.4e-6, 0.3e-6])  # pixels that count less than any score


def _flags(values: object) -> Flags:
    return np.array(list(values), dtype=np.bool_)  # type: ignore[call-overload]
