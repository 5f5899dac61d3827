"""Every state that this machine saw, one JSON line each: what an emptied store is filled from again.

Several workers append; a line that was cut short by a crash is skipped, and the next one starts on a line of its own.
Each line names the store that held the state, without a password. What another store held counts only where the one of
now is empty: a machine that moves brings its state along, one that joins a fleet overrules nobody, and beside a new
store that is away it obeys nothing old. Lines of an older Crossfade name no store: they are of whichever is used.
A rollback that the store could not be told of is marked as owed, and what settled it later names it by its time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.private_files import replace_with
from backend.rollout.locked import locked
from backend.rollout.state import InvalidState
from backend.rollout.store import Change

MAX_BYTES = 4 * 1024 * 1024
KEPT_BYTES = MAX_BYTES // 4  # of the newest lines, when it has grown over that
LOCK_S = 0.25


@dataclass(frozen=True, slots=True)
class Entry:
    store: str
    change: Change
    owed: bool
    settles: float | None  # `at` of the owed rollback, and of those before it


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

    def append(self, change: Change, *, owed: bool = False, settles: Change | None = None) -> None:
        """Once, whoever saw it first."""
        marks = ({"owed": True} if owed else {}) | ({"settles": settles.at} if settles else {})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock"), LOCK_S):
            lines = self._lines()
            line = json.dumps({"store": self._store} | marks | change.to_table(), sort_keys=True)
            if line in lines:
                return
            self._append(line)
            if self._path.stat().st_size > self._max_bytes:
                self._shorten([*lines, line])

    def newest(self) -> Change | None:
        """Of this store: the highest version, and of two the later."""
        return _newest(entry.change for entry in self._entries() if self._is_own(entry.store))

    def latest(self) -> Change | None:
        """By its time, of whichever store: one that was lost began its versions anew."""
        return max((entry.change for entry in self._entries()), key=lambda change: change.at, default=None)

    def newest_of_the_store_before(self) -> Change | None:
        """Of the other store that this machine used last."""
        others = [entry for entry in self._entries() if not self._is_own(entry.store)]
        return _newest(entry.change for entry in others if entry.store == others[-1].store)

    def owed(self, known: Change | None) -> Change | None:
        """The last rollback that this store has not heard of; `known` is one that may not stand here."""
        last, settled = known, float("-inf")
        for entry in self._entries():
            if not self._is_own(entry.store):
                continue
            if entry.owed and (last is None or entry.change.at >= last.at):
                last = entry.change
            settled = max(settled, entry.settles if entry.settles is not None else settled)
        return last if last is not None and last.at > settled else None

    def owed_anywhere(self) -> list[Change]:
        """The last of each store that this machine used, the one of now included."""
        stores = {self._store, *(entry.store for entry in self._entries() if entry.store)}
        found = (Journal(self._path, store).owed(None) for store in sorted(stores))
        return [change for change in found if change]

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

    def _entries(self) -> Iterator[Entry]:
        for line in self._lines():
            try:
                table = json.loads(line)
                change = Change.from_table(table)
                if change.version == change.state.version:
                    settles = table.get("settles")
                    yield Entry(
                        str(table.get("store", "")),
                        change,
                        table.get("owed") is True,
                        None if settles is None else float(settles),
                    )
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
        replace_with(self._path, "".join(f"{line}\n" for line in reversed(kept)).encode())


def _newest(changes: Iterable[Change]) -> Change | None:
    return max(changes, key=lambda change: (change.version, change.at), default=None)
