"""When each frame of a camera falls due."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    starts_at: float  # on the clock that is asked
    fps: float

    @classmethod
    def shifted(cls, now: float, fps: float, place: int, places: int) -> Schedule:
        """Of `places` cameras: they do not all ask at the same instant."""
        return cls(now + place / places / fps, fps)

    def due_at(self, number: int) -> float:
        return self.starts_at + number / self.fps

    def latest_at(self, now: float) -> int:
        """The number of the frame that fell due last; -1 before the first."""
        return math.floor((now - self.starts_at) * self.fps + 1e-6)  # 0.1 + 0.2 is due at 0.3
