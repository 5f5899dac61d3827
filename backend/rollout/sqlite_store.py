"""The flags of one machine, in one SQLite file that all its workers read.

A file that was deleted, emptied or exchanged under us, or lost its -wal, is noticed by inodes and size: SQLite itself
goes on with what is gone. Whoever finds none makes a fresh one, under a lock and not in the midst of the deleting, with
none of the old one's -wal and -shm beside it: workers that still hold those must not meet the new file through them.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.rollout.locked import locked
from backend.rollout.quota import Quota, Seen
from backend.rollout.store import Beat, Change, Snapshot, StoreAway

SCHEMA = 1
GONE_S = 0.05  # a file that is missing for so long was deleted, helpers and all
BUSY_S = 0.25  # another worker writes; longer than that is "away"
FORGOTTEN_AFTER_S = 600.0  # a worker that ended without a word

_TABLES = """
CREATE TABLE IF NOT EXISTS changes (
    version INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL,
    before TEXT, after TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS beats (
    worker TEXT PRIMARY KEY, at REAL NOT NULL, version INTEGER NOT NULL, traffic TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS quotas (detector TEXT PRIMARY KEY, cameras TEXT NOT NULL);
"""

_Identity = tuple[int, int, int | None]  # device and inode of the file, inode of its -wal


class SqliteStore:
    """Used from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None
        self._identity: _Identity | None = None
        self._data_version: int | None = None

    def changed(self) -> bool:
        with self._connection() as db:
            (seen,) = db.execute("PRAGMA data_version").fetchone()
            before, self._data_version = self._data_version, seen
            return bool(before != seen)

    def read(self) -> Snapshot:
        with self._transaction() as db:
            row = db.execute(f"{_CHANGES} ORDER BY version DESC LIMIT 1").fetchone()
            quotas = db.execute("SELECT detector, cameras FROM quotas").fetchall()
            return Snapshot(_change(row) if row else None, {name: _quota(text) for name, text in quotas})

    def write(self, change: Change, expected: int | None) -> bool:
        with self._transaction("IMMEDIATE") as db:
            (current,) = db.execute("SELECT max(version) FROM changes").fetchone()
            if current != expected:
                return False
            before = json.dumps(change.before) if change.before is not None else None
            row = (change.version, change.at, change.who, change.reason, before, json.dumps(change.after))
            db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", row)
            return True

    def history(self, limit: int) -> tuple[Change, ...]:
        with self._transaction() as db:
            rows = db.execute(f"{_CHANGES} ORDER BY version DESC LIMIT ?", (limit,)).fetchall()
            return tuple(_change(row) for row in rows)

    def beat(self, beat: Beat) -> float | None:
        traffic = json.dumps({name: seen.to_table() for name, seen in beat.traffic.items()})
        row = (beat.worker, beat.at, beat.version, traffic)
        with self._transaction("IMMEDIATE") as db:
            before = db.execute("SELECT at FROM beats WHERE worker = ?", (beat.worker,)).fetchone()
            db.execute("INSERT OR REPLACE INTO beats VALUES (?, ?, ?, ?)", row)
            db.execute("DELETE FROM beats WHERE at < ?", (beat.at - FORGOTTEN_AFTER_S,))
        return before[0] if before else None

    def forget(self, worker: str) -> None:
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM beats WHERE worker = ?", (worker,))

    def beats(self) -> tuple[Beat, ...]:
        with self._transaction() as db:
            rows = db.execute("SELECT worker, at, version, traffic FROM beats ORDER BY worker").fetchall()
            return tuple(_beat(row) for row in rows)

    def publish(self, quotas: Mapping[str, Quota]) -> None:
        rows = [(detector, json.dumps(quota.cameras)) for detector, quota in quotas.items()]
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM quotas")
            db.executemany("INSERT INTO quotas VALUES (?, ?)", rows)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = self._identity = self._data_version = None

    # --- the file -----------------------------------------------------------------------------------------

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
        except (sqlite3.Error, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._drop()
            raise StoreAway(f"The store {self._path} cannot be used: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        identity = _identity(self._path)
        if self._open is None or identity is None or identity != self._identity:
            self._drop()
            if identity is None:
                self._make()
                identity = _identity(self._path)
            self._open = self._connect()
            opened = _identity(self._path)  # its -wal came with the connection
            self._identity = opened if opened and identity and opened[:2] == identity[:2] else None
        return self._open

    def _make(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_name(f"{self._path.name}.lock"), BUSY_S):
            if _identity(self._path) is not None:
                return
            time.sleep(GONE_S)
            for ending in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self._connect().close()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            (schema,) = db.execute("PRAGMA user_version").fetchone()
            if schema > SCHEMA:
                raise StoreAway(
                    f"The store {self._path} was made by a newer Crossfade "
                    f"(schema {schema}; this one knows {SCHEMA})."
                )
            if schema == 0:
                db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
        except BaseException:
            db.close()
            raise
        return db

    def _drop(self) -> None:
        try:
            self.close()
        except sqlite3.Error:
            self._open = None


_CHANGES = "SELECT version, at, who, reason, before, after FROM changes"


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


def _change(row: tuple[Any, ...]) -> Change:
    version, at, who, reason, before, after = row
    return Change(version, at, who, reason, json.loads(before) if before else None, json.loads(after))


def _quota(text: str) -> Quota:
    return Quota(tuple((str(name), float(share)) for name, share in json.loads(text)))


def _beat(row: tuple[Any, ...]) -> Beat:
    worker, at, version, traffic = row
    return Beat(
        worker, at, version, {name: Seen.from_table(seen) for name, seen in json.loads(traffic).items()}
    )
