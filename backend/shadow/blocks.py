"""One request of Triton's against 19 of legacy's that came with it: was it the slowest of all?

Where the sides are equal that happens exactly 1 time in 20, whatever else goes on: bursts, queues, a machine that slows
down. For requests are given to the sides by chance, so in a block of arrivals Triton's may have come in any place of
the queue as likely as legacy's. That holds while nothing about a block looks at who was given to whom, or at times:
its size follows from the fraction alone, one of Triton's and 19 of legacy's are drawn from it by lot, nobody is in two
blocks, and a block in which the flags changed, or which has too few of a side, is thrown away.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from backend.rollout.books import FRESH_LEGACY
from backend.shadow.arrivals import Arrival
from backend.sides import LEGACY, TRITON

MAX_BLOCK = 2_000
_LEGACY_MEAN, _TRITON_MEAN = 23, 1.2  # expected of each side; with these most blocks have enough of both


def size_of(fraction: float) -> int | None:
    """In arrivals; None where one side gets next to nothing."""
    if not 0 < fraction < 1:
        return None
    size = math.ceil(max(_TRITON_MEAN / fraction, _LEGACY_MEAN / (1 - fraction)))
    return size if size <= MAX_BLOCK else None


def slowest(block: Sequence[Arrival], chance: random.Random) -> bool | None:
    """Whether Triton's is slower than each of legacy's; None where the block has too few of a side. A caller who hung
    up waited for ever, and of two who did neither is slower."""
    triton = [one.took_s for one in block if one.side == TRITON]
    legacy = [one.took_s for one in block if one.side == LEGACY]
    if not triton or len(legacy) < FRESH_LEGACY:
        return None
    return chance.choice(triton) > max(chance.sample(legacy, FRESH_LEGACY))


class Block:
    """Of one detector: fills up, answers, begins again."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._arrivals: list[Arrival] = []

    def add(self, arrival: Arrival) -> bool | None:
        """In the order in which they came. The answer of the block that this one completes, if it has one."""
        if self._arrivals and self._arrivals[0].flag_version != arrival.flag_version:
            self._arrivals = []
        size = size_of(arrival.fraction)
        if size is None or not arrival.is_by_chance:
            return None
        self._arrivals.append(arrival)
        if len(self._arrivals) < size:
            return None
        block, self._arrivals = self._arrivals, []
        return slowest(block, self._chance)
