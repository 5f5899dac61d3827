"""Do two sides see the same in one picture? Matched box by box; what is left over gets a name. Pure.

Only what scores at least `threshold` counts. Boxes of one class are paired by the assignment that shares the most
area; pairs under `MIN_IOU` never match. A detection so near the threshold that the other side may lawfully have
it on the other side of it is borderline, and no error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ai.core.detections import Detection, Detections
from ai.core.geometry import iou
from ai.triton.comparing.certificate import Agreement, Tally

Kind = Literal["same", "missed", "extra", "swapped", "borderline"]

THRESHOLD = 0.25
BORDER = 0.05
MIN_IOU = 0.5


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

    @property
    def disagreements(self) -> int:
        """A swap is seen by both sides, and counts once."""
        kinds = Counter(seen.kind for seen in (*self.legacy, *self.other))
        return kinds["missed"] + kinds["extra"] + kinds["swapped"] // 2

    @property
    def drift(self) -> float:
        """How far the worst pair is apart, in box and score."""
        return max((1 - pair.iou + pair.score_difference for pair in self.pairs), default=0.0)


def compare(
    legacy: Detections, other: Detections, threshold: float = THRESHOLD, border: float = BORDER
) -> Comparison:
    sure = threshold + border
    a, b = _Side.over(threshold, legacy), _Side.over(threshold, other)
    same = a.settle("same", b, _same_class)
    a.settle("borderline", _Side.between(threshold - border, threshold, other), _same_class)
    b.settle("borderline", _Side.between(threshold - border, threshold, legacy), _same_class)
    a.settle("swapped", b, lambda x, y: x.class_id != y.class_id and max(x.score, y.score) >= sure)
    pairs = tuple(Pair(a.items[i], b.items[j], overlap) for i, j, overlap in same)
    return Comparison(a.named("missed", sure), b.named("extra", sure), pairs)


def _same_class(one: Detection, two: Detection) -> bool:
    return one.class_id == two.class_id


@dataclass(slots=True)
class _Side:
    """One side's detections, and the names that they have so far."""

    items: tuple[Detection, ...]
    kinds: dict[int, Kind] = field(default_factory=dict)

    @classmethod
    def over(cls, least: float, found: Detections) -> _Side:
        return cls(tuple(one for one in found if one.score >= least))

    @classmethod
    def between(cls, least: float, below: float, found: Detections) -> _Side:
        return cls(tuple(one for one in found if least <= one.score < below))

    def settle(
        self, kind: Kind, other: _Side, may: Callable[[Detection, Detection], bool]
    ) -> list[tuple[int, int, float]]:
        """Pair what has no name yet on either side, and give both of a pair this one."""
        mine, theirs = self._nameless(), other._nameless()
        found = [
            (mine[i], theirs[j], overlap)
            for i, j, overlap in matched([self.items[i] for i in mine], [other.items[j] for j in theirs], may)
        ]
        self.kinds |= {i: kind for i, _, _ in found}
        other.kinds |= {j: kind for _, j, _ in found}
        return found

    def named(self, left_over: Kind, sure: float) -> tuple[Seen, ...]:
        rest: dict[int, Kind] = {
            i: left_over if self.items[i].score >= sure else "borderline" for i in self._nameless()
        }
        return tuple(Seen(item, (self.kinds | rest)[i]) for i, item in enumerate(self.items))

    def _nameless(self) -> list[int]:
        return [i for i in range(len(self.items)) if i not in self.kinds]


def matched(
    a: Sequence[Detection], b: Sequence[Detection], may: Callable[[Detection, Detection], bool]
) -> list[tuple[int, int, float]]:
    """(index in a, index in b, IoU) of the best one-to-one pairing of those that may be paired."""
    if not a or not b:
        return []
    allowed = np.array([[may(one, two) for two in b] for one in a])
    worth = iou(_boxes(a), _boxes(b)) * allowed
    worth[worth < MIN_IOU] = 0.0
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [(int(i), int(j), float(worth[i, j])) for i, j in zip(rows, columns, strict=True) if worth[i, j]]


def _boxes(found: Sequence[Detection]) -> npt.NDArray[np.float64]:
    return np.array([(one.x1, one.y1, one.x2, one.y2) for one in found])


def summary(comparisons: Sequence[Comparison]) -> Agreement:
    pairs = [pair for one in comparisons for pair in one.pairs]
    ious = np.array([pair.iou for pair in pairs])
    scores = np.array([pair.score_difference for pair in pairs])
    if not pairs:
        return Agreement(by_class=_by_class(comparisons))
    return Agreement(
        pairs=len(pairs),
        iou_mean=float(ious.mean()),
        iou_p1=float(np.percentile(ious, 1)),
        iou_min=float(ious.min()),
        score_difference_mean=float(scores.mean()),
        score_difference_p99=float(np.percentile(scores, 99)),
        score_difference_max=float(scores.max()),
        by_class=_by_class(comparisons),
    )


def _by_class(comparisons: Sequence[Comparison]) -> dict[str, Tally]:
    counts: dict[str, Counter[str]] = {}
    for one in comparisons:
        twice = [
            seen for seen in one.other if seen.kind not in {"same", "swapped"}
        ]  # legacy's side has those
        for seen in (*one.legacy, *twice):
            counts.setdefault(seen.detection.label, Counter())[seen.kind] += 1
    return {label: Tally(**counts[label]) for label in sorted(counts)}
