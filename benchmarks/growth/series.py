"""One series: what something costs at several sizes of one thing, and what that should do as the thing grows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.growth.slope import Slope, Verdict, slope_of

Expected = Literal["constant", "linear"]
"""The same at every size · in proportion to it at the most"""


@dataclass(frozen=True, slots=True)
class Question:
    name: str  # letters, digits and dashes: of the series in the file
    axis: str  # what grows: the series of one axis share a figure
    title: str
    x: str  # what is counted along the axis
    y: str  # the unit of a value
    expected: Expected
    bound: str = ""  # where the product itself ends the axis, in words


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    rounds: tuple[float, ...]  # one value a round

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass(frozen=True, slots=True)
class Series:
    question: Question
    points: tuple[Point, ...]  # by rising x
    slope: Slope
    other_cores: float | None  # kept busy by processes that are not ours, all the while

    @classmethod
    def of(cls, question: Question, points: Sequence[Point], other_cores: float | None = None) -> Series:
        ordered = tuple(sorted(points, key=lambda point: point.x))
        return cls(question, ordered, slope_of([(one.x, one.rounds) for one in ordered]), other_cores)

    @property
    def verdict(self) -> Verdict:
        return self.slope.verdict

    @property
    def met(self) -> bool | None:
        """Whether it grows as it should at the most; None where the run does not tell."""
        if self.verdict == "unclear":
            return None
        if self.question.expected == "constant":
            return self.verdict == "constant"
        return self.verdict != "worse than linear"
