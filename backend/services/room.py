"""How many calls a side that works on many at once may get, however few it was given so far.

The pace counts answers per busy second. A side that answers each of a hundred callers in the same time looks slow to it
for as long as it is given only two. Where answers beside others take about as long as answers alone, nothing queues,
and half as many again may come; where they take longer, the pace knows better.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

REMEMBERED = 31  # answers
ALONE = 5  # answers without company
AS_QUICK = 2.0  # times as long as alone is still no queue


class Room:
    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self._alone_s: deque[float] = deque(maxlen=ALONE)
        self._quickest_s = math.inf  # until one was alone: the first of a crowd waits for nobody
        self._usual_s = math.inf
        self._places = 0

    def answered(self, duration_s: float, beside: int) -> None:
        """`beside`: how many calls were under way when it began."""
        self._recent.append((duration_s, beside))
        self._quickest_s = min(self._quickest_s, duration_s)
        if beside == 0:
            self._alone_s.append(duration_s)
        self._usual_s = median(took_s for took_s, _ in self._recent)
        level = 1 + max(others for _, others in self._recent)
        self._places = level + max(2, level // 2)

    def places(self, left_s: float) -> int:
        """0: it says nothing."""
        alone_s = median(self._alone_s) if self._alone_s else self._quickest_s
        queues = self._usual_s > AS_QUICK * alone_s
        return 0 if queues or self._usual_s > left_s else self._places
