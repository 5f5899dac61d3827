"""How many calls a side that works on many at once may get, however few it was given so far.

The pace counts answers per busy second. A side that answers each of a hundred callers in the same time looks slow to it
for as long as it is given only two. Where answers beside others take about as long as answers alone, nothing queues,
and half as many again may come; where they take longer, the pace knows better.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

REMEMBERED = 31  # answers
ALONE = 5  # answers without company
AS_QUICK = 2.0  # times as long as alone is still no queue


class Room:
    """Asked and told once a request: what it remembers is kept in order, not put in order each time."""

    def __init__(self) -> None:
        self._took_s: deque[float] = deque()
        self._beside: deque[int] = deque(maxlen=REMEMBERED)
        self._alone_s: deque[float] = deque(maxlen=ALONE)
        self._sorted_s: list[float] = []  # what is in `_took_s`
        self._quickest_s = math.inf  # until one was alone: the first of a crowd waits for nobody
        self._usual_s = math.inf
        self._usual_alone_s: float | None = None
        self._places = 0

    def answered(self, duration_s: float, beside: int) -> None:
        """`beside`: how many calls were under way when it began."""
        if len(self._took_s) == REMEMBERED:
            del self._sorted_s[bisect_left(self._sorted_s, self._took_s.popleft())]
        self._took_s.append(duration_s)
        insort(self._sorted_s, duration_s)
        self._usual_s = _middle(self._sorted_s)
        self._quickest_s = min(self._quickest_s, duration_s)
        if beside == 0:
            self._alone_s.append(duration_s)
            self._usual_alone_s = _middle(sorted(self._alone_s))
        self._beside.append(beside)
        level = 1 + max(self._beside)
        self._places = level + max(2, level // 2)

    def places(self, left_s: float) -> int:
        """0: it says nothing."""
        alone_s = self._quickest_s if self._usual_alone_s is None else self._usual_alone_s
        queues = self._usual_s > AS_QUICK * alone_s
        return 0 if queues or self._usual_s > left_s else self._places


def _middle(ordered: Sequence[float]) -> float:
    """The median."""
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
