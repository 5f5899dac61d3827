"""The store of one machine: one SQLite file that all its workers use."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from backend.rollout.quota import Quota
from backend.rollout.store import Beat, Change, HasContent, Snapshot
from backend.rollout.stores.dump import (
    Kept,
    KeptBook,
    KeptQuota,
    KeptRecord,
    KeptSample,
    KeptTurn,
    kept_of,
    row_of,
)
from backend.rollout.stores.sqlite_evidence import SqliteEvidence, put_turn
from backend.rollout.stores.sqlite_samples import SqliteSamples, forget_old_samples, put_sample
from backend.rollout.stores.words import (
    quota_from,
    quota_text,
    sample_from,
    traffic_of,
    traffic_table,
    turn_of,
)

FORGOTTEN_AFTER_S = 600.0  # a worker that ended without a word
_NEWER_THAN_ALL = 2**63 - 1  # a version: what may be NULL is looked for in every row


class SqliteStore(SqliteEvidence, SqliteSamples):
    """Used from one thread at a time."""

    def changed(self) -> bool:
        with self._connection() as db:
            (seen,) = db.execute("PRAGMA data_version").fetchone()
            before, self._data_version = self._data_version, seen
            return bool(before != seen)

    def read(self) -> Snapshot:
        with self._transaction() as db:
            row = db.execute(f"{_CHANGES} ORDER BY version DESC LIMIT 1").fetchone()
            return Snapshot(_change(row) if row else None, dict(_quotas(db)))

    def write(self, change: Change, expected: int | None) -> bool:
        with self._transaction("IMMEDIATE") as db:
            (current,) = db.execute("SELECT max(version) FROM changes").fetchone()
            if current != expected:
                return False
            _put_change(db, change)
            return True

    def history(self, limit: int, before: int | None = None) -> tuple[Change, ...]:
        under = _NEWER_THAN_ALL if before is None else before
        older = f"{_CHANGES} WHERE version < ? ORDER BY version DESC LIMIT ?"
        with self._transaction() as db:
            return tuple(_change(row) for row in db.execute(older, (under, limit)))

    def beat(self, beat: Beat) -> float | None:
        row = (beat.worker, beat.at, beat.version, json.dumps(traffic_table(beat)))
        with self._transaction("IMMEDIATE") as db:
            before = db.execute("SELECT at FROM beats WHERE worker = ?", (beat.worker,)).fetchone()
            db.execute("INSERT OR REPLACE INTO beats VALUES (?, ?, ?, ?)", row)
            db.execute("DELETE FROM beats WHERE at < ?", (beat.at - FORGOTTEN_AFTER_S,))
            forget_old_samples(db, self._clock())
        return before[0] if before else None

    def forget(self, worker: str) -> None:
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM beats WHERE worker = ?", (worker,))

    def beats(self) -> tuple[Beat, ...]:
        with self._transaction() as db:
            rows = db.execute("SELECT worker, at, version, traffic FROM beats ORDER BY worker").fetchall()
            return tuple(
                Beat(worker, at, version, traffic_of(json.loads(text))) for worker, at, version, text in rows
            )

    def publish(self, quotas: Mapping[str, Quota]) -> None:
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM quotas")
            for detector, quota in quotas.items():
                _put_quota(db, detector, quota)

    def subscribe(self, wake: Callable[[], None]) -> None:
        """SQLite tells nobody; `changed` is cheap enough to be asked ten times a second."""

    # --- as a whole ---------------------------------------------------------------------------------------

    def dump(self) -> Iterator[dict[str, Any]]:
        """All but the samples as of one moment; a sample that goes meanwhile is not among them."""
        with self._transaction() as db:
            small = list(_all_but_samples(db))
            ids = [name for (name,) in db.execute("SELECT id FROM samples ORDER BY id")]
        yield from map(row_of, small)
        for name in ids:
            with self._transaction() as db:
                row = db.execute(f"{_SAMPLES} WHERE id = ?", (name,)).fetchone()
            if row:
                yield row_of(KeptSample(sample_from(row[0]), bytes(row[1])))

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._transaction("IMMEDIATE") as db:
            if db.execute("SELECT 1 FROM changes LIMIT 1").fetchone():
                raise HasContent(f"The store {self._path} has content already; it stays as it is.")
            for row in rows:
                _put(db, kept_of(row))


_CHANGES = "SELECT version, at, who, reason, before, after, figures FROM changes LEFT JOIN figures USING (version, at)"
_SAMPLES = "SELECT words, picture FROM samples JOIN pictures USING (id)"


def _all_but_samples(db: sqlite3.Connection) -> Iterator[Kept]:
    yield from (_change(row) for row in db.execute(f"{_CHANGES} ORDER BY version"))
    yield from (KeptQuota(*one) for one in sorted(_quotas(db)))
    yield from (KeptRecord(*row) for row in db.execute("SELECT name, text FROM records ORDER BY name"))
    books: dict[str, dict[str, int]] = {}
    for book, name, count in db.execute("SELECT book, name, count FROM counts ORDER BY book, name"):
        books.setdefault(book, {})[name] = count
    yield from (KeptBook(*one) for one in books.items())
    for name, at, seen in db.execute("SELECT name, at, seen FROM turns ORDER BY name"):
        yield KeptTurn(name, turn_of(at, json.loads(seen)))


def _put(db: sqlite3.Connection, kept: Kept) -> None:
    match kept:
        case Change():
            _put_change(db, kept)
        case KeptQuota(detector, quota):
            _put_quota(db, detector, quota)
        case KeptRecord(name, text):
            db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (name, text))
        case KeptBook(book, counts):
            rows = [(book, name, count) for name, count in counts.items()]
            db.executemany("INSERT OR REPLACE INTO counts VALUES (?, ?, ?)", rows)
        case KeptTurn(name, turn):
            put_turn(db, name, turn)
        case KeptSample(sample, picture):
            put_sample(db, sample, picture)


def _put_change(db: sqlite3.Connection, change: Change) -> None:
    before = json.dumps(change.before) if change.before is not None else None
    row = (change.version, change.at, change.who, change.reason, before, json.dumps(change.after))
    db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", row)
    if change.figures is not None:
        figures = (change.version, change.at, json.dumps(change.figures))
        db.execute("INSERT OR REPLACE INTO figures VALUES (?, ?, ?)", figures)


def _put_quota(db: sqlite3.Connection, detector: str, quota: Quota) -> None:
    db.execute("INSERT OR REPLACE INTO quotas VALUES (?, ?)", (detector, quota_text(quota)))


def _quotas(db: sqlite3.Connection) -> list[tuple[str, Quota]]:
    rows = db.execute("SELECT detector, cameras FROM quotas").fetchall()
    return [(name, quota_from(text)) for name, text in rows]


def _change(row: tuple[Any, ...]) -> Change:
    version, at, who, reason, before, after, figures = row
    return Change(version, at, who, reason, _table(before), json.loads(after), _table(figures))


def _table(text: str | None) -> dict[str, Any] | None:
    return json.loads(text) if text else None
