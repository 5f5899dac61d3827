"""How long requests took, told in the order in which they began.

A request is known when it has ended. Whoever takes those that end first takes the quick ones, and calls a side quick
for it. So each is held back until all that began before it must have ended too: then what is chosen among them is
chosen by when they came, which nobody's speed has any say in.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from backend.sides import Side

MAX_HELD = 50_000


class Arrival(NamedTuple):
    """One request, and what its caller waited. There is one for each: a frozen dataclass takes three times as long."""

    started_at: float
    detector: str
    side: Side  # that it was decided for
    took_s: float  # infinite where the caller did not wait for the end
    book: str
    is_by_chance: bool  # its own bucket decided, with a chance of `fraction`
    fraction: float
    flag_version: int


class Arrivals:
    def __init__(self, longest_s: float) -> None:
        """No request takes longer than `longest_s`; one that did is left out, whichever side it was for."""
        self._longest_s = longest_s
        self._held: list[Arrival] = []
        self._told_until = float("-inf")

    def ended(self, arrival: Arrival) -> None:
        if arrival.started_at >= self._told_until and len(self._held) < MAX_HELD:
            heappush(self._held, arrival)

    def due(self, now: float) -> Iterator[Arrival]:
        """Those before which nobody can be under way any more, first come first."""
        self._told_until = max(self._told_until, now - self._longest_s)
        while self._held and self._held[0].started_at < self._told_until:
            yield heappop(self._held)
