"""The highest rate that something answers in time: no failure, and a p95 under a limit. Pure but for the trying.

A rate is tried by an odd number of windows: it is held when most of them are. A window is held when it has no failure,
its p95 is under the limit, and what came in it is no less than what fell due, but for chance.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.holding import Search
from benchmarks.load.measurement import Measurement

Attempt = Callable[[float], Measurement]  # one window of an open loop at a rate
LEAST_RPS = 0.5
STEP_RPS = 0.1
CHANCE = 4.0  # standard deviations: arrivals of a Poisson stream spread by the square root of their number


@dataclass(frozen=True, slots=True)
class Tried:
    """One rate, and the windows that tried it; nothing more is tried once it is decided."""

    rate_rps: float
    windows: tuple[Measurement, ...]
    held: bool

    @property
    def p95_ms(self) -> float | None:
        known = [one.p95_ms for one in self.windows if one.p95_ms is not None]
        return statistics.median(known) if known else None


@dataclass(frozen=True, slots=True)
class HeldRate:
    """What a search found; `rate_rps` 0: not even the least rate was held."""

    limit_ms: float
    rate_rps: float
    p95_ms: float | None  # at that rate
    tried: tuple[Tried, ...]  # by rising rate: the curve of p95 over the rate


@dataclass(slots=True)
class _Trials:
    attempt: Attempt
    limit_ms: float
    windows: int
    tried: list[Tried] = field(default_factory=list)

    def at(self, rate_rps: float) -> Tried:
        seen: list[Measurement] = []
        enough = self.windows // 2 + 1
        while len(seen) < self.windows:
            seen.append(self.attempt(rate_rps))
            good = sum(in_time(one, self.limit_ms) for one in seen)
            if good >= enough or len(seen) - good >= enough:
                break
        self.tried.append(Tried(rate_rps, tuple(seen), good >= enough))
        return self.tried[-1]


def in_time(window: Measurement, limit_ms: float) -> bool:
    """Were all that fell due answered, 95 % of them within the limit, and did none pile up meanwhile?"""
    if window.failures or window.p95_ms is None or window.p95_ms > limit_ms:
        return False
    due = window.offered.due if window.offered else window.answered
    return window.rps * window.seconds >= due - CHANCE * math.sqrt(due) - 1


def highest_rate(
    attempt: Attempt,
    limit_ms: float,
    first_rps: float,
    most_rps: float,
    windows: int = 1,
    grain: float = 0.05,
) -> HeldRate:
    """From `first_rps` on (half of what a closed loop reaches is a good one), to `grain` of the rate."""
    trials = _Trials(attempt, limit_ms, windows)
    search = Search(trials.at, lambda tried: tried.held, LEAST_RPS, most_rps, STEP_RPS, grain)
    best = search.best(max(LEAST_RPS, min(first_rps, most_rps)))
    curve = tuple(sorted(trials.tried, key=lambda tried: tried.rate_rps))
    if best is None:
        return HeldRate(limit_ms, 0.0, None, curve)
    return HeldRate(limit_ms, best.rate_rps, best.p95_ms, curve)
