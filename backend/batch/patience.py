"""How long a picture is tried again, and how long a backend that answers nothing is waited for: pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from backend.batch.asking import Later

FIRST_S, MOST_S = 0.2, 5.0
TRIES = 5  # of a picture that was looked at, and not answered, while others were


class Verdict(Enum):
    AGAIN = "again"
    FAILED = "failed"  # this picture; others were answered meanwhile
    AWAY = "away"  # nothing is answered any more


@dataclass(slots=True)
class Heard:
    """When the backend answered anything last."""

    at_s: float


@dataclass(slots=True)
class Patience:
    """Of one picture."""

    heard: Heard
    began_s: float
    patience_s: float
    tries: int = field(default=0)

    def is_in_doubt(self, later: Later) -> bool:
        """Looked at often enough and not answered, while nobody else was asked: is it the picture, or the backend?"""
        return self.tries + 1 >= TRIES and not later.is_turned_away and self.heard.at_s < self.began_s

    def verdict(self, later: Later, now_s: float) -> Verdict:
        self.tries += 1
        others = self.heard.at_s >= self.began_s
        if now_s - max(self.heard.at_s, self.began_s) > self.patience_s:
            return Verdict.AWAY
        worn_out = self.tries >= TRIES and not later.is_turned_away
        if others and (worn_out or now_s - self.began_s > self.patience_s):
            return Verdict.FAILED
        return Verdict.AGAIN

    def pause_s(self, later: Later, chance: Callable[[], float]) -> float:
        """As the backend says; else longer each time, and by chance, so that not all come back at once."""
        growing_s: float = min(FIRST_S * 2 ** min(self.tries - 1, 10), MOST_S)
        return max(later.after_s or 0.0, growing_s * (0.5 + chance() / 2))
