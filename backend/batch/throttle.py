"""How many pictures are asked for at once: as many as bring more answers, and no more than leave others their time.

One more at a time (at first twice as many) while that brings more answers per second; back where it does not; half,
where the backend turns a picture away, or where an answer takes several times as long as it did when it was quick.
That last one makes a batch yield: what others ask makes its own answers late, so it asks for less, down to one picture
at a time, and takes the room again when they are gone. LEDBAT (RFC 6817) does the same for data in the background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

LEAST_ANSWERS = 8  # of a window: fewer say nothing of a rate …
LEAST_S = 0.5  # … nor does less time
MORE = 1.03  # times as many answers/s are more; less is the noise of a window
CROWDED = 4.0  # times the quickest: a batcher that is kept full takes two to three times as long
BACK = 0.5
REST_WINDOWS = 10  # before one more is tried again
QUICKEST_MEMORY_S = 600.0  # a model that became slower is believed after minutes
MOST = 256


class Throttle(Protocol):
    @property
    def limit(self) -> int: ...

    def answered(self, asked_s: float, now_s: float) -> None: ...

    def turned_away(self, asked_s: float, now_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    limit: int

    def answered(self, asked_s: float, now_s: float) -> None:
        """Said is said."""

    def turned_away(self, asked_s: float, now_s: float) -> None:
        """The picture waits, as the answer says; the others go on."""


@dataclass(slots=True)
class _Window:
    """Answers to what was asked at one limit."""

    began_s: float
    answers: int = 0
    took_s: list[float] = field(default_factory=list)

    def add(self, asked_s: float, now_s: float) -> None:
        self.answers += 1
        if asked_s >= self.began_s:
            self.took_s.append(now_s - asked_s)

    def is_full(self, limit: int, now_s: float) -> bool:
        return len(self.took_s) >= max(LEAST_ANSWERS, limit) and now_s - self.began_s >= LEAST_S


class Adaptive:
    def __init__(self, now_s: float, most: int = MOST) -> None:
        self.limit = 1
        self._most = most
        self._window = _Window(now_s)
        self._quickest_s = math.inf
        self._lower: tuple[int, float] | None = None  # the limit that was raised, and its answers/s
        self._is_first_climb = True
        self._rest = 0

    def answered(self, asked_s: float, now_s: float) -> None:
        self._window.add(asked_s, now_s)
        if self._window.is_full(self.limit, now_s):
            self._judge(now_s)

    def turned_away(self, asked_s: float, now_s: float) -> None:
        """Of what was asked before the last change nothing new is learnt."""
        if asked_s >= self._window.began_s:
            self._go_back(int(self.limit * BACK), now_s)

    def _judge(self, now_s: float) -> None:
        passed_s = now_s - self._window.began_s
        usual_s, rate = median(self._window.took_s), self._window.answers / passed_s
        self._quickest_s = min(usual_s, self._quickest_s * math.exp(passed_s / QUICKEST_MEMORY_S))
        if usual_s > CROWDED * self._quickest_s:
            self._go_back(int(self.limit * BACK), now_s)
        elif self._lower is not None and rate < self._lower[1] * MORE:
            self._go_back(self._lower[0], now_s)
        elif self._rest:
            self._rest -= 1
            self._set(self.limit, now_s)
        else:
            self._climb(rate, now_s)

    def _climb(self, rate: float, now_s: float) -> None:
        self._lower = (self.limit, rate) if self.limit < self._most else None
        self._set(2 * self.limit if self._is_first_climb else self.limit + 1, now_s)

    def _go_back(self, limit: int, now_s: float) -> None:
        self._is_first_climb, self._lower, self._rest = False, None, REST_WINDOWS
        self._set(limit, now_s)

    def _set(self, limit: int, now_s: float) -> None:
        self.limit = max(1, min(limit, self._most))
        self._window = _Window(now_s)
