"""The ground that a ramp stands on: how fast legacy was before it, and which classes, cameras and lights there were."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from backend.rollout.books import COVERAGE, OTHERS, Counts, part, rank, times

P95: Final = 0.95
SURE: Final = 0.99
FAIR_SHARE: Final = 0.05  # of all that was seen; of many kinds, half of an even share
LEAST_SEEN: Final = 3


def bounding_rank(number: int) -> int:
    """Which of so many times, in order, is over the p95 with 99 %, and one to spare: the 391st of 400.

    The last one where none is: of fewer than 90.
    """
    beyond, which = 0.0, number
    while which > 0 and beyond <= 1 - SURE:
        beyond += math.exp(_log_chance(number, which))
        which -= 1
    return min(which + 3, number)  # the chance was too high from which + 1 on


def _log_chance(number: int, below: int) -> float:
    """ln of the chance that exactly so many lie below the p95."""
    ways = math.lgamma(number + 1) - math.lgamma(below + 1) - math.lgamma(number - below + 1)
    return ways + below * math.log(P95) + (number - below) * math.log1p(-P95)


def slow_bin_of(counts: Counts) -> int | None:
    """θ: a time in a higher bin is slow. None before there is any time."""
    binned = times(counts, "legacy")
    return rank(binned, bounding_rank(sum(binned.values()))) if binned else None


def coverage_of(counts: Counts) -> dict[str, int]:
    """What evidence saw; where it has not seen anything of the kind yet, what all comparisons did."""
    seen = {name: count for name, count in counts.items() if name.startswith(COVERAGE)}
    return {**_seen_by_all(counts, seen), **seen}


def _seen_by_all(counts: Counts, seen: Mapping[str, int]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, count in part(counts, "seen.").items():
        light, _, label = name.partition(".")
        found[f"light.{light}"] += count
        found[f"class.{label}"] += count
    known = {prefix for prefix in COVERAGE if any(name.startswith(prefix) for name in seen)}
    return {name: count for name, count in found.items() if not name.startswith(tuple(known))}


def unseen(baseline: Counts, counts: Counts) -> tuple[str, ...]:
    """What had a fair share before the ramp and was in no evidence since this step began, in words."""
    told_apart = [
        prefix for prefix in COVERAGE if prefix + OTHERS not in baseline and prefix + OTHERS not in counts
    ]
    return tuple(
        name.replace(".", " ", 1)
        for prefix in told_apart  # of more cameras than a book holds, it is chance which ones it names
        for name in _fair(baseline, prefix)
        if not counts.get(name, 0)
    )


def _fair(baseline: Counts, prefix: str) -> Iterator[str]:
    shares = part(baseline, prefix)
    total = sum(shares.values())
    for name, count in sorted(shares.items()):
        if count >= LEAST_SEEN and count >= min(FAIR_SHARE, 0.5 / len(shares)) * total:
            yield prefix + name
