"""How fast a side answers, measured from the calls that are under way anyhow.

Answers per second in which it had something to do: true of a side that answers one at a time as of one that answers in
batches. It is a guess that may be wrong, so it never keeps a side from being asked at all: with fewer than two calls
in flight there is nothing to wait for, and without an answer for a while the guess is forgotten.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]

MEMORY_S = 10.0  # busy seconds; what is older weighs less than a third
FORGOTTEN_S = 30.0  # without an answer
LEAST_ANSWERS = 5  # fewer say nothing


class Pace:
    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._in_flight = 0
        self._seen_until = clock()
        self._answered_at = -math.inf
        self._answers = self._busy_s = 0.0  # fading
        self._counted = 0

    def started(self) -> None:
        self._look(self._clock())
        self._in_flight += 1

    def ended(self, answered: bool) -> None:
        """A failure is no answer, however fast it came; the time that it took was spent all the same."""
        now = self._clock()
        self._look(now)
        self._in_flight -= 1
        if answered:
            self._answered_at = now
            counts = (
                self._busy_s > 0
            )  # else nobody knows how long it took: time is counted from this answer on
            self._answers += counts
            self._counted += counts

    def wait_s(self, in_flight: int) -> float:
        """The expected time to the answer of one more call, beside so many."""
        capacity_per_s = self.capacity_per_s
        if in_flight < 2 or capacity_per_s is None:
            return 0.0
        return (in_flight + 1) / capacity_per_s

    @property
    def capacity_per_s(self) -> float | None:
        self._look(self._clock())
        if self._counted < LEAST_ANSWERS:
            return None
        return self._answers / self._busy_s

    def _look(self, now: float) -> None:
        """Account for the time since the last look: busy if anything was in flight."""
        passed_s, self._seen_until = now - self._seen_until, now
        if now - self._answered_at > FORGOTTEN_S:
            self._answers = self._busy_s = 0.0
            self._counted = 0
        elif self._in_flight:
            fading = math.exp(-passed_s / MEMORY_S)
            self._answers *= fading
            self._busy_s = self._busy_s * fading + MEMORY_S * (1 - fading)
