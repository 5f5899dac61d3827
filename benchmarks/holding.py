"""How much something holds: the most that goes well, found by trying. Pure but for the trying."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from benchmarks.steady import Watched

LOST_SHARE = 0.01  # of the frames that fall due, dropped or not answered

Found = TypeVar("Found")
Try = Callable[[int], Watched]


def holds(watched: Watched) -> bool:
    """Every hundredth frame may be lost. An answer that is later than the next frame loses that one."""
    return watched.lost_share <= LOST_SHARE


def most_held(attempt: Try, most: int, grain: float = 0.05) -> Watched | None:
    """The most cameras, to `grain` of the number; None: not even one is held."""
    search = Search(lambda cameras: attempt(round(cameras)), holds, 1.0, most, 1.0, grain)
    return search.best(1.0)


@dataclass(frozen=True, slots=True)
class Search(Generic[Found]):
    """Doubled until it is too much, or halved until it is not, then halved in between."""

    attempt: Callable[[float], Found]
    holds: Callable[[Found], bool]
    least: float
    most: float
    step: float  # nothing in between is tried
    grain: float = 0.05  # how near is near enough, as a share of what is held

    def best(self, first: float) -> Found | None:
        """What the most that was held came to; None: not even `least` is held."""
        number, found = first, self.attempt(first)
        while not self.holds(found):
            if number <= self.least:
                return None
            too_much, number = number, max(self.least, self._rounded(number / 2))
            found = self.attempt(number)
            if self.holds(found):
                return self._closer(number, found, too_much)
        return self._upwards(number, found)

    def _upwards(self, number: float, best: Found) -> Found:
        while number * 2 <= self.most:
            found = self.attempt(number * 2)
            if not self.holds(found):
                return self._closer(number, best, number * 2)
            number, best = number * 2, found
        return self._closer(number, best, self.most + self.step)

    def _closer(self, number: float, best: Found, too_much: float) -> Found:
        while too_much - number > max(self.step, self.grain * number):
            between = self._rounded((number + too_much) / 2)
            if not number < between < too_much:
                break
            found = self.attempt(between)
            if self.holds(found):
                number, best = between, found
            else:
                too_much = between
        return best

    def _rounded(self, number: float) -> float:
        return math.floor(number / self.step + 1e-9) * self.step
