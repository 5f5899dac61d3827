"""Evidence that may be looked at after every sample: e-processes over whole counts. docs/evidence.md explains them.

Each is a mixture of 24 bets that were fixed beforehand, so all that it needs to know of the samples is how many were
worse, the same and better: counts of several workers simply add up. All values are natural logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from backend.rollout.books import Counts

BETS: Final = 24
BLOCK: Final = 25

_BOLDEST: Final = (
    0.3  # the weight of the bet that all is well, or all is ill: it earns the most and may lose everything
)
_NEAREST: Final = (
    1e-6  # a bound is so far from the ends at least: no number of samples shows a rate of exactly 0
)
_LOST: Final = -1e30  # ln of a stake that is lost for good, and no 0 × −∞ anywhere
_HALVINGS: Final = 40  # of a band's search

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many samples said 1, 0 and −1."""

    worse: int = 0
    same: int = 0
    better: int = 0

    @classmethod
    def of(cls, counts: Counts, prefix: str) -> Counted:
        return cls(*(counts.get(f"{prefix}.{value}", 0) for value in (1, 0, -1)))

    @property
    def asked(self) -> int:
        return self.worse + self.same + self.better

    @property
    def rate(self) -> float | None:
        return (self.worse - self.better) / self.asked if self.asked else None

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.worse + other.worse, self.same + other.same, self.better + other.better)

    def __sub__(self, other: Counted) -> Counted:
        return Counted(self.worse - other.worse, self.same - other.same, self.better - other.better)

    def to_list(self) -> list[int]:
        return [self.worse, self.same, self.better]


@dataclass(frozen=True, slots=True)
class Asked:
    """Is the mean of X under a bound (τ), where X is `least` at the least and 1 at the most?"""

    bound: float
    least: Literal[0, -1]

    def __post_init__(self) -> None:
        if not (0 <= self.bound <= 1 and self.least in {0, -1}):
            raise ValueError(f"bound is {self.bound}, least is {self.least}; from 0 to 1, and 0 or -1")


@dataclass(frozen=True, slots=True)
class Bets:
    """What each bet makes of one sample, as logarithms, and how the stake is spread over the bets."""

    gains: Array  # 24 × 3: for a sample that is worse, the same, better
    weights: Array  # 24; their sum is 1

    def sums(self, counts: Array) -> Array:
        """… × 3 counts to … × 24 log-products."""
        return counts @ self.gains.T

    def mixed(self, sums: Array) -> Array:
        return log_sum(sums + np.log(self.weights))


def log_sum(values: Array) -> Array:
    """ln of the sum of exponentials, along the last axis."""
    most = values.max(axis=-1)
    return np.asarray(np.log(np.exp(values - most[..., None]).sum(axis=-1)) + most)


# --- the bets ---------------------------------------------------------------------------------------------


def _leaning(shares: Array) -> Array:
    """Weights for shares of the highest stake: 3 in 10 for the highest itself, the others the more the bolder."""
    return np.append(shares[:-1] / shares[:-1].sum() * (1 - _BOLDEST), _BOLDEST)


_SHARES: Final[Array] = np.append(1 / (1 + np.exp(-np.linspace(-4, 4, BETS - 1))), 1.0)  # dense at both ends
_WEIGHTS: Final[Array] = _leaning(_SHARES)
_STEPS: Final[Array] = np.arange(1, BETS + 1) / BETS
_EVEN: Final[Array] = np.full(BETS, 1 / BETS)
_FINE: Final[Array] = np.geomspace(
    1e-4, 1, BETS
)  # a band wants to know means that are near to each other apart
_FINE_WEIGHTS: Final[Array] = np.append(np.full(BETS - 1, (1 - _BOLDEST) / (BETS - 1)), _BOLDEST)


@lru_cache(maxsize=256)
def bets_on_well(asked: Asked) -> Bets:
    """∏(1 − λ(X − τ)) with λ up to 1/(1 − τ): what it wins is evidence against "mean ≥ τ"."""
    return _bets_on_well(_inside(asked.bound, 0), _SHARES, _WEIGHTS)


@lru_cache(maxsize=256)
def bets_on_ill(asked: Asked) -> Bets:
    """∏(1 + λ(X − τ)) with λ up to 1/(τ − least): what it wins is evidence against "mean ≤ τ"."""
    bound = _inside(asked.bound, 0)
    if asked.least == -1:
        return _bets_on_ill(bound, -1, _SHARES, _WEIGHTS)
    return _bets_on_ill(bound, 0, _STEPS, _EVEN)


def _bets_on_well(bound: float, shares: Array, weights: Array) -> Bets:
    return _bets(-shares / (1 - bound), bound, weights)


def _bets_on_ill(bound: float, least: int, shares: Array, weights: Array) -> Bets:
    if least == -1:
        return _bets(shares / (1 + bound), bound, weights)
    # Each is the best bet where the mean is p; a share is how far p is on the way from τ to 1, in ratios.
    means = bound ** (1 - shares)
    return _bets((means - bound) / (bound * (1 - bound)), bound, weights)


def _bets(stakes: Array, bound: float, weights: Array) -> Bets:
    values = np.array([1.0, 0.0, -1.0])
    won = np.maximum(
        stakes[:, None] * (values - bound), -1.0
    )  # under −1 by rounding only, or where X never is −1
    with np.errstate(divide="ignore"):
        return Bets(np.maximum(np.log1p(won), _LOST), weights)


def _inside(bound: float, least: int) -> float:
    return min(max(bound, least + _NEAREST), 1 - _NEAREST)


# --- well -------------------------------------------------------------------------------------------------


def well(asked: Asked, counted: Counted) -> float:
    """ln of the evidence against "the mean is τ or more"."""
    return _value(bets_on_well(asked), counted)


def clean_needed(asked: Asked, alpha: float) -> int:
    """So many samples that all say "the same" are enough for `well`."""
    few, enough = 0, 1
    while well(asked, Counted(same=enough)) < promote_at(alpha):
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        is_enough = well(asked, Counted(same=middle)) >= promote_at(alpha)
        few, enough = (few, middle) if is_enough else (middle, enough)
    return enough


# --- ill --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Starts:
    """The starts that a bet against "the mean is τ or less" has made, summed up for each of the 24 bets.

    A start is made when a block of samples is complete, so that what went well before a fault does not count against
    it. Lost ones are safe: with `Starts()` in their place the evidence is never more than it would have been.
    """

    sums: tuple[float, ...] = ()  # ln, as of `closed`; empty: only the start at the first sample
    closed: Counted = Counted()
    blocks: int = 0  # complete, as of `closed`

    def to_table(self) -> dict[str, Any]:
        return {"sums": list(self.sums), "closed": self.closed.to_list(), "blocks": self.blocks}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Starts:
        """ValueError, KeyError or TypeError where it is none."""
        sums = tuple(map(float, table["sums"]))
        if len(sums) not in {0, BETS}:
            raise ValueError(f"{len(sums)} sums; there must be {BETS} or none")
        return cls(sums, Counted(*map(int, table["closed"])), int(table["blocks"]))


def ill(asked: Asked, counted: Counted, starts: Starts, block: int = BLOCK) -> tuple[float, Starts]:
    """ln of the evidence against "the mean is τ or less" by now, and the starts for the next look.

    `counted` is everything since the epoch began. The j-th start has the weight 1/(j(j + 1)); the weight of those to
    come is kept as it is.
    """
    fresh = counted - starts.closed
    if min(fresh.to_list()) < 0:  # the starts of another epoch
        starts, fresh = Starts(), counted
    bets = bets_on_ill(asked)
    before = np.array(starts.sums) if starts.sums else np.full(BETS, math.log(0.5))
    sums = before + bets.sums(_array(fresh))
    to_come = kept(starts.blocks or counted.asked // block)
    value = log_sum(np.append(sums + np.log(bets.weights), math.log(to_come)))
    return float(value), _closed(starts, sums, counted, block)


def kept(blocks: int) -> float:
    """The weight of the starts that are to come after so many blocks; the first block brings none."""
    return 1 / (max(blocks, 1) + 1)


def _closed(starts: Starts, sums: Array, counted: Counted, block: int) -> Starts:
    blocks = counted.asked // block
    if blocks <= starts.blocks:
        return starts
    # Where nothing was closed yet, starts may have been lost, and the blocks so far bring none: see docs/evidence.md.
    weight = kept(starts.blocks) - kept(blocks) if starts.blocks else 0.0
    if weight:
        sums = np.logaddexp(sums, math.log(weight))
    return Starts(tuple(sums.tolist()), counted, blocks)


# --- thresholds and bands ---------------------------------------------------------------------------------


def promote_at(alpha: float) -> float:
    return -math.log(alpha)


def rollback_at(alpha: float, questions: int, tries: int) -> float:
    """The tries-th epoch gets 1/(tries·(tries + 1)) of alpha, and each question the same share: in all, alpha."""
    return math.log(questions * tries * (tries + 1) / alpha)


def band(asked: Asked, counted: Counted, alpha: float) -> tuple[float, float]:
    """Between these the mean lies, with probability 1 − alpha at all times together: the means that no bet refutes."""
    refuted = math.log(2 / alpha)

    def is_high_enough(mean: float) -> bool:
        return _value(bets_of_band(mean, asked.least)[0], counted) < refuted

    def is_too_high(mean: float) -> bool:
        return _value(bets_of_band(mean, asked.least)[1], counted) >= refuted

    return _turn(is_high_enough, asked.least), _turn(is_too_high, asked.least)


def bets_of_band(mean: float, least: int) -> tuple[Bets, Bets]:
    """Against "so much or less" and against "so much or more"; both only gain where the mean moves away."""
    mean = _inside(mean, least)
    ill_bets = _bets_on_ill(mean, least, _FINE, _FINE_WEIGHTS)
    return ill_bets, _bets_on_well(mean, _FINE, _FINE_WEIGHTS)


def _turn(has_turned: Callable[[float], bool], least: int) -> float:
    """Where a yes begins, between the least mean and 1."""
    no, yes = float(least), 1.0
    if has_turned(no):
        return no
    for _ in range(_HALVINGS):
        middle = (no + yes) / 2
        no, yes = (no, middle) if has_turned(middle) else (middle, yes)
    return yes


def _value(bets: Bets, counted: Counted) -> float:
    return float(bets.mixed(bets.sums(_array(counted))))


def _array(counted: Counted) -> Array:
    return np.array(counted.to_list(), dtype=np.float64)
