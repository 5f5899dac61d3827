"""How long an answer usually takes, so that an attempt can be judged when its caller has gone.

By the caller's own patience every side is dead to a caller who waits 0.1 s.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

REMEMBERED = 31  # successes; odd, so that one of them is the middle


class Typical:
    def __init__(self, least_s: float, factor: float = 4.0) -> None:
        self._least_s, self._factor = least_s, factor
        self._recent_s: deque[float] = deque()
        self._sorted_s: list[float] = []

    def succeeded(self, duration_s: float) -> None:
        if len(self._recent_s) == REMEMBERED:
            del self._sorted_s[bisect_left(self._sorted_s, self._recent_s.popleft())]
        self._recent_s.append(duration_s)
        insort(self._sorted_s, duration_s)

    @property
    def bound_s(self) -> float:
        """A multiple of the median of recent successes: one odd answer does not move it."""
        if not self._sorted_s:
            return self._least_s
        return max(self._least_s, self._factor * self._sorted_s[len(self._sorted_s) // 2])
