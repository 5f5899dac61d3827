"""What is counted on the way, and under which names: whole numbers only, so that several workers' counts add up.

A book belongs to one detector and one epoch of its ramp. Everything that decides or is reported is worked out from it:

    requests.legacy|triton          decided for that side, callers' own errors and vanished callers aside
    errors.0|1                      of those for Triton: served by it, or not (breaker open, shed and fallback too)
    error.<reason>                  why not: "unavailable", "breaker_open", "overloaded", …
    time.legacy|triton.<bin>        what callers waited, by the side that was decided for; one in a while of each worker
    fresh.0|1                       one for Triton against 19 fresh ones of legacy: slower than all of them
    compared.same|different|triton_failed|legacy_failed       pairs
    dropped.<reason>                chosen for a comparison that was not made
    disagreement.-1|0|1             evidence: 1{Triton ≠ legacy} − 1{legacy ≠ legacy again}
    unproven                        evidence that was to be, and for which legacy gave no second answer
    class.<label> camera.<name> light.day|infrared            of the evidence samples: what legacy saw, and where
    kind.<kind>.<light>.<label>     named differences of all pairs: missed, extra, swapped, misplaced, duplicate
    swap.<legacy's label>/<Triton's label>
    seen.<light>.<label>            of all pairs: what legacy saw, the ground that kinds are held against
    version.<version>               answers of Triton, by its model's version
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

Counts = Mapping[str, int]

COVERAGE: Final = ("class.", "camera.", "light.")
MAX_CAMERAS: Final = 200  # of one book; all others are one
OTHERS: Final = "(others)"
FRESH_LEGACY: Final = 19  # of them Triton is slower than all exactly 1 time in 20 where the sides are equal

_SHORTEST_S: Final = 0.0001
_GROWTH: Final = 1.02  # a bin is 2 % wide
MAX_BIN: Final = 698  # over 100 s


def bin_of(duration_s: float) -> int:
    """Which bin a time falls into; a longer time never falls into a lower one. Who hung up waited for ever."""
    if duration_s <= _SHORTEST_S:
        return 0
    if math.isinf(duration_s):
        return MAX_BIN
    return min(MAX_BIN, math.ceil(math.log(duration_s / _SHORTEST_S) / math.log(_GROWTH)))


def longest_s(number: int) -> float:
    """The longest time of a bin."""
    return _SHORTEST_S * _GROWTH**number


def part(counts: Counts, prefix: str) -> dict[str, int]:
    """Those under a prefix, without it."""
    return {name[len(prefix) :]: count for name, count in counts.items() if name.startswith(prefix)}


def times(counts: Counts, side: str) -> dict[int, int]:
    """How many times fell into which bin, shortest first."""
    return dict(sorted((int(name), count) for name, count in part(counts, f"time.{side}.").items()))


def rank(binned: Mapping[int, int], which: int) -> int | None:
    """The bin of the `which`-th shortest time, counted from 1; None where there are not so many."""
    seen = 0
    for number in sorted(binned):
        seen += binned[number]
        if seen >= which:
            return number
    return None


def quantile_s(binned: Mapping[int, int], share: float) -> float | None:
    which = rank(binned, math.ceil(share * sum(binned.values())) or 1)
    return None if which is None else longest_s(which)
