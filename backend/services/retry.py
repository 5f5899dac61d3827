"""How often and how soon the same side may be asked once more: retries must not become the load that kills it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
Random = Callable[[], float]  # 0..1

SAVED_S = 10.0  # what is saved up: the retries of so many quiet seconds …
SAVED_REQUESTS = 100  # … and of so many requests, however long the night was


class RetryBudget:
    """A bucket of retries: each request adds `share` of one, each second `per_s`.

    In any span of time, retries <= share x (its requests + SAVED_REQUESTS) + per_s x (its seconds + SAVED_S).
    """

    def __init__(self, share: float, per_s: float, clock: Clock = time.monotonic) -> None:
        self._share, self._per_s, self._clock = share, per_s, clock
        self._left = share * SAVED_REQUESTS + per_s * SAVED_S
        self._most = max(1.0, self._left)  # less than one could never be taken
        self._filled_at = clock()

    def asked(self) -> None:
        self._add(self._share)

    def take(self) -> bool:
        """One retry, if there is one left."""
        now = self._clock()
        self._add((now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _add(self, retries: float) -> None:
        self._left = min(self._most, self._left + retries)


def backoff_s(random: Random, least_s: float = 0.010, most_s: float = 0.050) -> float:
    """Full jitter: callers who failed together do not come back together."""
    return least_s + random() * (most_s - least_s)
