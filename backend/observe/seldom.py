"""Trouble that comes a thousand times a second is told once a second, with its count."""

from __future__ import annotations

from collections.abc import Callable

Key = tuple[str, ...]
Clock = Callable[[], float]

QUIET_S = 1.0  # between two words about the same trouble


class Seldom:
    """The first of a kind is told at once; the next ones together, a second later."""

    def __init__(self, tell: Callable[[Key, int], None], clock: Clock) -> None:
        self._tell = tell
        self._clock = clock
        self._counts: dict[Key, int] = {}  # of kinds that were told less than a second ago
        self._due: dict[Key, float] = {}

    def happened(self, key: Key) -> None:
        if key not in self._due:
            self._tell_of(key, 1)
        else:
            self._counts[key] += 1

    def look(self) -> None:
        if not self._due:
            return
        now = self._clock()
        for key in [key for key, due in self._due.items() if due <= now]:
            self._end(key)

    def tell_all(self) -> None:
        for key in list(self._due):
            self._end(key)
        self._due.clear()
        self._counts.clear()

    def _end(self, key: Key) -> None:
        del self._due[key]
        count = self._counts.pop(key)
        if count:
            self._tell_of(key, count)

    def _tell_of(self, key: Key, count: int) -> None:
        self._due[key] = self._clock() + QUIET_S
        self._counts[key] = 0
        self._tell(key, count)
