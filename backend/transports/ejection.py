"""Which of several Tritons is asked next. One that keeps failing gets no caller until a picture of ours is answered.

Pure: it knows addresses, a clock, and how calls ended. What keeps it from doing harm:
- The last one is never ejected: what all of them fail at is the side's failure, and the side's breaker is there for it.
- One whose latest call failed gets one call at a time, and the one with the fewest calls under way goes first. So a
  dead one costs a handful of callers, however many ask at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class EjectionPolicy:
    failures: int = 3  # in a row
    wait_s: float = 5.0  # before it is tried again …
    growth: float = 1.6  # … longer each time …
    wait_max_s: float = 60.0  # … up to this, until it was well for as long


@dataclass(frozen=True, slots=True)
class Turn:
    """A call that went to this address, in one of its lives between ejections."""

    address: str
    life: int


@dataclass(slots=True)
class _Place:
    under_way: int = 0
    failures: int = 0
    life: int = 0
    wait_s: float = 0.0  # of its latest ejection
    probe_at: float | None = None  # ejected until a probe, which may start then, succeeds
    probing: bool = False
    returned_at: float = field(default=float("-inf"))


class Rotation:
    def __init__(self, policy: EjectionPolicy | None = None, clock: Clock = time.monotonic) -> None:
        self._policy = policy or EjectionPolicy()
        self._clock = clock
        self._places: dict[str, _Place] = {}

    @property
    def ejected(self) -> frozenset[str]:
        return frozenset(address for address, place in self._places.items() if place.probe_at is not None)

    def show(self, addresses: Iterable[str]) -> None:
        """The addresses that there are now; what is known of those that stay is kept."""
        self._places = {address: self._places.get(address) or _Place() for address in addresses}
        if self._places and len(self.ejected) == len(self._places):  # only bad ones are left: ask them again
            for place in self._places.values():
                self._returned(place)

    def next(self) -> Turn:
        """Who is asked now. There must be an address."""
        address, place = min(self._places.items(), key=lambda item: _burden(item[1]))
        place.under_way += 1
        self._places[address] = self._places.pop(address)  # to the end of the line
        return Turn(address, place.life)

    def ended(self, turn: Turn, succeeded: bool | None) -> None:
        """None: it says nothing of the server's health (a full queue, a bad picture, a caller who left)."""
        place = self._places.get(turn.address)
        if place is None:
            return
        place.under_way = max(0, place.under_way - 1)
        if succeeded is None or place.life != turn.life:
            return
        place.failures = 0 if succeeded else place.failures + 1
        if place.failures >= self._policy.failures and self._has_others(place):
            self._eject(place)

    def probe(self) -> str | None:
        """An address that is to be asked with a picture of ours now; `probe_ended` must follow."""
        now = self._clock()
        for address, place in self._places.items():
            if place.probe_at is not None and place.probe_at <= now and not place.probing:
                place.probing = True
                return address
        return None

    def probe_ended(self, address: str, succeeded: bool | None) -> None:
        place = self._places.get(address)
        if place is None or not place.probing:
            return
        place.probing = False
        if succeeded:
            self._returned(place)
        elif succeeded is False:
            self._wait_longer(place)
        else:
            place.probe_at = self._clock() + self._policy.wait_s

    def _has_others(self, mine: _Place) -> bool:
        return any(place.probe_at is None for place in self._places.values() if place is not mine)

    def _eject(self, place: _Place) -> None:
        place.life += 1
        if self._clock() - place.returned_at > self._policy.wait_max_s:
            place.wait_s = 0.0
        self._wait_longer(place)

    def _wait_longer(self, place: _Place) -> None:
        policy = self._policy
        place.wait_s = min(place.wait_s * policy.growth, policy.wait_max_s) or policy.wait_s
        place.probe_at = self._clock() + place.wait_s

    def _returned(self, place: _Place) -> None:
        place.probe_at, place.failures, place.returned_at = None, 0, self._clock()


def _burden(place: _Place) -> tuple[bool, bool, int]:
    """Less goes first; the order of the line decides between equals."""
    suspect_and_busy = place.failures > 0 and place.under_way > 0
    return place.probe_at is not None, suspect_and_busy, place.under_way
