"""Every state that this machine saw, one JSON line each: what an emptied store is filled from again.

Several workers append; a line that was cut short by a crash is skipped, and the next one starts on a line of its own.
Each line names the store that held the state, without a password. What another store held counts only where the one of
now is empty: a machine that moves brings its state along, one that joins a fleet overrules nobody, and beside a new
store that is away it obeys nothing old. Lines of an older Crossfade name no store: they are of whichever is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from backend.rollout.locked import locked
from backend.rollout.state import InvalidState
from backend.rollout.store import Change

MAX_BYTES = 4 * 1024 * 1024
KEPT_BYTES = MAX_BYTES // 4  # of the newest lines, when it has grown over that
LOCK_S = 0.25


class Journal:
    """Every method may raise OSError."""

    def __init__(
        self, path: Path, store: str = "", max_bytes: int = MAX_BYTES, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._path = path
        self._store = store
        self._max_bytes = max_bytes
        self._kept_bytes = kept_bytes
        self._mark: tuple[int, int] | None = None  # inode and size at the last look

    def append(self, change: Change) -> None:
        """Once, whoever saw it first."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock"), LOCK_S):
            lines = self._lines()
            line = json.dumps({"store": self._store} | change.to_table(), sort_keys=True)
            if line in lines:
                return
            self._append(line)
            if self._path.stat().st_size > self._max_bytes:
                self._shorten([*lines, line])

    def newest(self) -> Change | None:
        """Of this store: the highest version, and of two the later."""
        return _newest(change for store, change in self._changes() if self._is_own(store))

    def newest_of_the_store_before(self) -> Change | None:
        """Of the other store that this machine used last."""
        others = [(store, change) for store, change in self._changes() if not self._is_own(store)]
        return _newest(change for store, change in others if store == others[-1][0])

    def _is_own(self, store: str) -> bool:
        return store in ("", self._store) or not self._store

    def grew(self) -> bool:
        """Whether somebody wrote since the last time it was asked."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return False
        before, self._mark = self._mark, (stat.st_ino, stat.st_size)
        return before != self._mark

    def _changes(self) -> Iterator[tuple[str, Change]]:
        for line in self._lines():
            try:
                table = json.loads(line)
                change = Change.from_table(table)
                if change.version == change.state.version:
                    yield str(table.get("store", "")), change
            except (ValueError, KeyError, TypeError, RecursionError, InvalidState):
                continue

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _append(self, line: str) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
            os.write(descriptor, (b"\n" if torn else b"") + f"{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _shorten(self, lines: list[str]) -> None:
        kept: list[str] = []
        room = self._kept_bytes
        for line in reversed(lines):
            room -= len(line) + 1
            if kept and room < 0:
                break
            kept.append(line)
        fresh = self._path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text("".join(f"{line}\n" for line in reversed(kept)), encoding="utf-8")
        fresh.replace(self._path)


def _newest(changes: Iterable[Change]) -> Change | None:
    return max(changes, key=lambda change: (change.version, change.at), default=None)
