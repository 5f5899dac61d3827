"""Every state that this machine saw, one JSON line each: what an emptied store is filled from again.

Several workers append; a line that was cut short by a crash is skipped, and the next one starts on a line of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from backend.rollout.locked import locked
from backend.rollout.state import InvalidState
from backend.rollout.store import Change

MAX_BYTES = 4 * 1024 * 1024
KEPT_BYTES = MAX_BYTES // 4  # of the newest lines, when it has grown over that
LOCK_S = 0.25


class Journal:
    """Every method may raise OSError."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept_bytes: int = KEPT_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept_bytes = kept_bytes
        self._mark: tuple[int, int] | None = None  # inode and size at the last look

    def append(self, change: Change) -> None:
        """Once, whoever saw it first."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock"), LOCK_S):
            lines = self._lines()
            line = json.dumps(change.to_table(), sort_keys=True)
            if line in lines:
                return
            self._append(line)
            if self._path.stat().st_size > self._max_bytes:
                self._shorten([*lines, line])

    def newest(self) -> Change | None:
        """The highest version, and of two the later."""
        changes = list(self._changes())
        return max(changes, key=lambda change: (change.version, change.at), default=None)

    def grew(self) -> bool:
        """Whether somebody wrote since the last time it was asked."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return False
        before, self._mark = self._mark, (stat.st_ino, stat.st_size)
        return before != self._mark

    def _changes(self) -> Iterator[Change]:
        for line in self._lines():
            try:
                change = Change.from_table(json.loads(line))
                if change.version == change.state.version:
                    yield change
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
