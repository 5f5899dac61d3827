"""How long answers took, in bounded memory however many they are: a percentile is right to one percent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

_STEP = math.log(1.01)
_LEAST_S = 1e-5


class Durations:
    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._counts[round(math.log(max(seconds, _LEAST_S)) / _STEP)] += 1

    def percentile_s(self, share: float) -> float | None:
        """The nearest rank: the smallest that `share` of all do not exceed."""
        rank = math.ceil(share * self._counts.total())
        for step in sorted(self._counts):
            rank -= self._counts[step]
            if rank <= 0:
                return math.exp(step * _STEP)
        return None

    @classmethod
    def together(cls, several: Iterable[Durations]) -> Durations:
        whole = cls()
        for one in several:
            whole._counts.update(one._counts)
        return whole
