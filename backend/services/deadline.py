"""One deadline for a request: made at the edge, passed down, every time-out cut to what it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]

NO_TIME_S = 0.001  # too little to ask anybody: timers may fire that much early


@dataclass(frozen=True, slots=True)
class Deadline:
    ends_at: float
    clock: Clock = field(default=time.monotonic, repr=False)

    @classmethod
    def after(cls, seconds: float, clock: Clock = time.monotonic) -> Deadline:
        return cls(clock() + seconds, clock)

    def left_s(self) -> float:
        return max(0.0, self.ends_at - self.clock())

    @property
    def passed(self) -> bool:
        return self.left_s() <= 0

    def share(self, of: float) -> Deadline:
        """Ends when that share of what is left now has passed; what has passed already stays passed."""
        return Deadline(self.ends_at - (1 - of) * self.left_s(), self.clock)

    def no_later_than(self, seconds: float) -> Deadline:
        """Ends in so many seconds, or with this one."""
        return Deadline(min(self.ends_at, self.clock() + seconds), self.clock)
