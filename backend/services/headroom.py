"""Whether the fallback could carry what is asked now."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]

MEMORY_S = 10.0


class Demand:
    """Requests per second, the last ones weighing most."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._began_at = self._seen_until = clock()
        self._asked = 0.0

    def asked(self) -> None:
        self._fade()
        self._asked += 1

    @property
    def per_s(self) -> float:
        self._fade()
        watched_s = MEMORY_S * -math.expm1((self._began_at - self._seen_until) / MEMORY_S)
        return self._asked / max(watched_s, 1.0)  # of the first second less than a second is known

    def _fade(self) -> None:
        now = self._clock()
        self._asked *= math.exp((self._seen_until - now) / MEMORY_S)
        self._seen_until = now


def headroom(capacity_per_s: float | None, demand_per_s: float) -> float | None:
    """Under 1 the fallback would not hold; None while nobody knows, or nobody asks."""
    if capacity_per_s is None or demand_per_s <= 0:
        return None
    return capacity_per_s / demand_per_s
