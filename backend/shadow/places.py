"""Which cameras have turns of their own: the first MAX_CAMERAS of a detector in an epoch, of all workers together.

Callers make these names up. One that writes the time into them would have a first turn with each picture, and a scene
that stands still would be proof as often as it is asked about.

The list lies in the store among the turns, under a name that no camera has; the names in it are numbers.
"""

from __future__ import annotations

import hashlib
from typing import Final

from backend.rollout.books import MAX_CAMERAS
from backend.rollout.store import Store, Turn

IDLE: Final = "idle"  # what is no epoch of a ramp
_TRIES: Final = 5  # against others that come at the same moment

Names = frozenset[float]


class TakenPlace:
    """The list as the store has it. `place` is a detector and its epoch."""

    def __init__(self, store: Store, place: str) -> None:
        self._store = store
        self._place = place

    def with_one(self, camera: str) -> Names:
        """Who is in it, with this one if there was room."""
        number = _number(camera)
        for _ in range(_TRIES):
            last = self._store.turn(self._place)
            names = frozenset(row[0] for row in last.seen) if last else frozenset()
            if number in names or len(names) >= MAX_CAMERAS:
                return names
            grown = Turn(self._store.now(), [[one] for one in sorted({*names, number})])
            if self._store.take_turn(self._place, grown, last.at if last else None):
                return names | {number}
        return names


class Places:
    """What one worker knows of the lists; of a detector's epochs only the one it is in."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, Names]] = {}

    def known(self, place: str, camera: str | None) -> bool | None:
        """Whether a camera has turns of its own; None where the store has to be asked."""
        if not camera:
            return False
        names = self._of(place)
        if _number(camera) in names:
            return True
        return False if len(names) >= MAX_CAMERAS else None

    def learn(self, place: str, camera: str | None, names: Names) -> bool:
        detector = place.partition("/")[0]
        self._names[detector] = place, names
        return _number(camera or "") in names

    def _of(self, place: str) -> Names:
        known_place, names = self._names.get(place.partition("/")[0], ("", frozenset()))
        return names if known_place == place else frozenset()


def _number(camera: str) -> float:
    """Whole, and small enough for any store to give it back as it is."""
    return float(int.from_bytes(hashlib.blake2b(camera.encode(errors="replace"), digest_size=6).digest()))
