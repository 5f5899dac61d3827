"""How steep a series is: the exponent of its upper half in logarithms, with an interval, and what one unit more costs.

A cost has a part that is always there. Below, it hides what grows; so the exponent is that of the larger sizes: those
from the middle of the axis on, on its logarithmic scale. Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Verdict = Literal["constant", "less than linear", "linear", "worse than linear", "unclear"]
Sizes = Sequence[tuple[float, Sequence[float]]]
"""By rising size: its values, one a round."""

CONFIDENCE = 0.95
LEAST = 3  # sizes that make a slope
# A tree of ten times as many rows is a page deeper at times: 1.4 x in a decade is no growth that anybody would notice.
CONSTANT, LINEAR, WORSE = 0.15, 0.85, 1.15
WIDEST = 0.6  # an interval that could be anything says nothing
UNKNOWN = 99.0  # how far an exponent may be off that two values were all there was for
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Slope:
    exponent: float
    low: float  # of the interval
    high: float
    since: float  # the smallest size that the exponent is of
    per_unit: float  # of a value, by least squares over all sizes
    growth: float  # the last value over the first

    @property
    def verdict(self) -> Verdict:
        if not self.high - self.low <= WIDEST:
            return "unclear"
        if self.exponent <= CONSTANT:
            return "constant"
        if self.exponent < LINEAR:
            return "less than linear"
        return "linear" if self.exponent <= WORSE else "worse than linear"


def slope_of(sizes: Sizes) -> Slope:
    medians = [(x, statistics.median(rounds)) for x, rounds in sizes]
    upper = upper_half(sizes)
    exponent, margin = _exponent(upper)
    return Slope(
        exponent, exponent - margin, exponent + margin, upper[0][0],
        per_unit=float(np.polyfit([x for x, _ in medians], [value for _, value in medians], 1)[0]),
        growth=medians[-1][1] / max(medians[0][1], TINY),
    )  # fmt: skip


def upper_half(sizes: Sizes) -> Sizes:
    """From the middle of the logarithmic axis on, and never fewer than make a slope."""
    known = [one for one in sizes if one[0] > 0]
    middle = math.sqrt(known[0][0] * known[-1][0])
    upper = [one for one in known if one[0] >= middle]
    return upper if len(upper) >= LEAST else known[-LEAST:]


def _exponent(sizes: Sizes) -> tuple[float, float]:
    """By least squares on logarithms, and how far it may be off."""
    pairs = [(math.log(x), math.log(max(value, TINY))) for x, rounds in sizes for value in rounds]
    if len(pairs) < LEAST:
        return 0.0, UNKNOWN
    xs, ys = np.array(pairs).T
    fit = stats.linregress(xs, ys)
    return float(fit.slope), float(stats.t.ppf((1 + CONFIDENCE) / 2, len(pairs) - 2) * fit.stderr)
