"""The file of a SQLite store: opened when it is needed, made when it is not there, noticed when it is gone.

A file that was deleted, emptied or exchanged under us, or lost its -wal, is noticed by inodes and size: SQLite itself
goes on with what is gone. Whoever finds none makes a fresh one, not in the midst of the deleting, with none of the old
one's -wal and -shm beside it: workers that still hold those must not meet the new file through them. It is made and
opened under a lock: who opened the old one while another makes the new one would write to the new one's -wal.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.rollout.locked import locked
from backend.rollout.store import StoreAway
from backend.rollout.stores.sqlite_schema import NewerFile, prepare

GONE_S = 0.05  # a file that is missing for so long was deleted, helpers and all
BUSY_S = 0.25  # another worker writes; longer than that is "away"

# A file is opened in steps, its -shm by name and last. Where another connection of this process makes a fresh file
# between two of them, SQLite, whose locks are between processes, cuts the -shm short that the other one has mapped.
# The lock's file alone would not do: it may be deleted with the store, and the next one locks another.
_OPENING = threading.Lock()

_Identity = tuple[int, int, int | None]  # device and inode of the file, inode of its -wal


class SqliteFile:
    """Used from one thread at a time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._open: sqlite3.Connection | None = None
        self._identity: _Identity | None = None
        self._data_version: int | None = None

    def now(self) -> float:
        return self._clock()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = self._identity = self._data_version = None

    @contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Iterator[sqlite3.Connection]:
        with self._connection() as db:
            db.execute(f"BEGIN {kind}")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Whatever goes wrong with the file is StoreAway; the next use opens it anew."""
        try:
            yield self._opened()
        except (sqlite3.Error, OSError, ValueError, TypeError, KeyError, AttributeError, NewerFile) as error:
            self._drop()
            raise StoreAway(f"The store {self._path} cannot be used: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        identity = _identity(self._path)
        if self._open is None or identity is None or identity != self._identity:
            self._drop()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _OPENING, locked(self._path.with_name(f"{self._path.name}.lock"), BUSY_S):
                return self._opened_anew()
        return self._open

    def _opened_anew(self) -> sqlite3.Connection:
        if _identity(self._path) is None:
            self._make()
        identity = _identity(self._path)
        self._open = self._connect()
        opened = _identity(self._path)  # its -wal came with the connection
        self._identity = opened if opened and identity and opened[:2] == identity[:2] else None
        return self._open

    def _make(self) -> None:
        time.sleep(GONE_S)
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._connect().close()

    def _connect(self) -> sqlite3.Connection:
        there = f"{self._path.absolute().as_uri()}?mode=rw"  # one that is just gone is for `_make`
        db = sqlite3.connect(there, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=True)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(
                "PRAGMA synchronous = NORMAL"
            )  # a power cut may cost the last writes: the journal has them
            db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: pictures above all
            prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _drop(self) -> None:
        try:
            self.close()
        except sqlite3.Error:
            self._open = None


def _identity(path: Path) -> _Identity | None:
    """None for a file that is not there, or empty: SQLite would go on with what it remembers of it."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return (
        (stat.st_dev, stat.st_ino, _inode(path.with_name(f"{path.name}-wal"))) if stat.st_size > 0 else None
    )


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
