"""When the requests of an open loop fall due: evenly, or as callers come who know nothing of each other. Pure.

Several processes share a rate: the even ones interleave, and Poisson streams added up are a Poisson stream.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate, count, repeat, takewhile

POISSON, EVEN = "poisson", "even"
ARRIVALS = (POISSON, EVEN)


def moments_s(
    arrivals: str, rate_rps: float, seconds: float, part: int = 0, parts: int = 1
) -> Iterator[float]:
    """Seconds after the beginning, rising, of one of `parts` that share `rate_rps`."""
    all_of_them = _even_s if arrivals == EVEN else _poisson_s
    return takewhile(lambda moment_s: moment_s < seconds, all_of_them(rate_rps, part, parts))


def _even_s(rate_rps: float, part: int, parts: int) -> Iterator[float]:
    return (number / rate_rps for number in count(part, parts))


def _poisson_s(rate_rps: float, part: int, parts: int) -> Iterator[float]:
    dice = random.Random(part)  # the same stream in every run
    return accumulate(dice.expovariate(rate_rps / parts) for _ in repeat(None))
