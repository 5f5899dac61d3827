"""When a side is not asked any more, and when it is asked again (after sony/gobreaker).

closed: callers ask, and their results count. open: nobody asks. half_open: probes ask, one at a time, no caller.
A generation lasts from one move to the next. A result belongs to the generation that admitted it, and one of an older
generation is dropped: what was begun before the side fell, or before it stood up again, says nothing about it now.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from backend.observe.events import BreakerState

Clock = Callable[[], float]

BUCKETS = 10  # of the window; the oldest leaves whole, so the window is up to a tenth short
PROBE_PAUSE_S = 1.0  # after a probe that said nothing: a side that is too busy is not to be asked in a loop


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    failures: int = 5  # in a row open it …
    share: float = 0.5  # … or this share …
    least: int = 20  # … of at least so many …
    window_s: float = 10.0  # … within this
    open_s: float = 5.0
    open_growth: float = 1.6  # of the open time, each time that it opens again
    open_max_s: float = 60.0  # the longest open time; closed for so long, the growth is forgotten
    probes: int = 3  # that succeed one after the other close it


class Breaker:
    def __init__(self, policy: BreakerPolicy, clock: Clock, moved: Callable[[BreakerState], None]) -> None:
        self.state: BreakerState = "closed"
        self.heard_at = -math.inf  # the last result that counted
        self._policy, self._clock, self._moved = policy, clock, moved
        self._generation = 0
        self._results = _Results(policy.window_s)
        self._open_s = 0.0  # of the last time that it was open
        self._closed_at = -math.inf
        self._probe_at = -math.inf
        self._probing = False
        self._probes_succeeded = 0

    @property
    def retry_after_s(self) -> float:
        """A guess: the earliest next probe, and never "at once" while it is not closed."""
        if self.state == "closed":
            return 0.0
        return max(PROBE_PAUSE_S, self._probe_at - self._clock())

    def admit(self) -> int | None:
        """The generation that the result belongs to, if a caller may ask."""
        return self._generation if self.state == "closed" else None

    def ended(self, generation: int, succeeded: bool, in_a_row: bool = True) -> None:
        """A failure that is not `in_a_row` counts in the share alone: others were answered while it waited."""
        if self.state != "closed" or generation != self._generation:
            return
        self.heard_at = now = self._clock()
        self._results.add(now, succeeded, in_a_row)
        if self._is_too_bad():
            self._open(now)

    def probe(self) -> int | None:
        """The generation, if a probe may start now. Whoever gets one must report its end."""
        if self.state == "closed" or self._probing or self._clock() < self._probe_at:
            return None
        self._probing = True
        if self.state == "open":
            self._probes_succeeded = 0
            self._move("half_open")
        return self._generation

    def probe_ended(self, generation: int, succeeded: bool | None) -> None:
        """None: it says nothing of the side's health (too busy, cancelled)."""
        if generation != self._generation or not self._probing:
            return
        self._probing = False
        now = self._clock()
        if succeeded is None:
            self._probe_at = now + PROBE_PAUSE_S
            return
        self.heard_at = now
        self._probes_succeeded += succeeded
        if not succeeded:
            self._open(now)
        elif self._probes_succeeded >= self._policy.probes:
            self._close(now)

    def _is_too_bad(self) -> bool:
        results, policy = self._results, self._policy
        return results.failed_in_a_row >= policy.failures or (
            results.total >= policy.least and results.failed >= policy.share * results.total
        )

    def _open(self, now: float) -> None:
        self._open_s = min(self._next_open_s(now), self._policy.open_max_s)
        self._probe_at = now + self._open_s
        self._move("open")

    def _next_open_s(self, now: float) -> float:
        """A side that flaps, well for a moment and then not, is waited for longer each time as well."""
        if self.state == "closed" and now - self._closed_at >= self._policy.open_max_s:
            return self._policy.open_s
        return self._open_s * self._policy.open_growth

    def _close(self, now: float) -> None:
        self._closed_at = now
        self._results = _Results(self._policy.window_s)
        self._move("closed")

    def _move(self, to: BreakerState) -> None:
        self.state = to
        self._generation += 1
        self._moved(to)


@dataclass(slots=True)
class _Bucket:
    tick: int
    total: int = 0
    failed: int = 0


class _Results:
    """Of the last `window_s`, counted in buckets: the cost does not grow with the traffic."""

    def __init__(self, window_s: float) -> None:
        self.total = self.failed = self.failed_in_a_row = 0
        self._bucket_s = window_s / BUCKETS
        self._buckets: deque[_Bucket] = deque()

    def add(self, now: float, succeeded: bool, in_a_row: bool) -> None:
        bucket = self._bucket(int(now // self._bucket_s))
        bucket.total += 1
        self.total += 1
        if succeeded:
            self.failed_in_a_row = 0
            return
        bucket.failed += 1
        self.failed += 1
        self.failed_in_a_row += in_a_row

    def _bucket(self, tick: int) -> _Bucket:
        buckets = self._buckets
        while buckets and buckets[0].tick <= tick - BUCKETS:
            gone = buckets.popleft()
            self.total -= gone.total
            self.failed -= gone.failed
        if not buckets or buckets[-1].tick != tick:
            buckets.append(_Bucket(tick))
        return buckets[-1]
