"""The flags of one process, for a try and for tests: gone with it, but for the journal."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from backend.rollout.quota import Quota
from backend.rollout.store import Beat, Change, Snapshot

MAX_CHANGES = 10_000


class MemoryStore:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: list[Change] = []
        self._beats: dict[str, Beat] = {}
        self._quotas: Mapping[str, Quota] = {}

    def changed(self) -> bool:
        return True

    def read(self) -> Snapshot:
        with self._lock:
            return Snapshot(self._changes[-1] if self._changes else None, dict(self._quotas))

    def write(self, change: Change, expected: int | None) -> bool:
        with self._lock:
            current = self._changes[-1].version if self._changes else None
            if current != expected:
                return False
            self._changes = [*self._changes, change][-MAX_CHANGES:]
            return True

    def history(self, limit: int) -> tuple[Change, ...]:
        with self._lock:
            return tuple(self._changes[::-1][:limit])

    def beat(self, beat: Beat) -> float | None:
        with self._lock:
            before = self._beats.get(beat.worker)
            self._beats[beat.worker] = beat
            return before.at if before else None

    def forget(self, worker: str) -> None:
        with self._lock:
            self._beats.pop(worker, None)

    def beats(self) -> tuple[Beat, ...]:
        with self._lock:
            return tuple(self._beats[worker] for worker in sorted(self._beats))

    def publish(self, quotas: Mapping[str, Quota]) -> None:
        with self._lock:
            self._quotas = dict(quotas)

    def close(self) -> None:
        """What it holds stays: workers of a test may share it."""
