"""When a state that nobody can obey is read again: it may be megabytes, to be unpacked ten times a second in vain."""

from __future__ import annotations

import time

from backend.rollout.store import NotObeyable, Store, StoreAway

READ_AGAIN_S = 1.0  # who mends a store by hand may leave no mark that it changed


class Rereading:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._due_at = float("-inf")

    def failed(self, away: StoreAway) -> None:
        """A store that is only away is looked for each time."""
        self._due_at = time.monotonic() + READ_AGAIN_S if isinstance(away, NotObeyable) else float("-inf")

    def is_vain(self) -> bool:
        """Nobody wrote since, and it was not long ago."""
        return time.monotonic() < self._due_at and not self._store.changed()
