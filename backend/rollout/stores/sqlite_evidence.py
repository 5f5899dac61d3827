"""What a ramp decides by, in the SQLite file: who leads, its records, the books, whose turn it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from backend.rollout.books import Counts
from backend.rollout.store import MAX_TURNS, Turn
from backend.rollout.stores.sqlite_file import SqliteFile
from backend.rollout.stores.words import turn_of

SERIALS_FORGOTTEN_AFTER_S = 86_400.0  # nobody sends again what is so old


class SqliteEvidence(SqliteFile):
    # --- one leader ---------------------------------------------------------------------------------------

    def lead(self, worker: str, for_s: float) -> bool:
        with self._transaction("IMMEDIATE") as db:
            if _leader(db, self._clock()) not in (None, worker):
                return False
            now = self._clock()
            db.execute("INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?)", (worker, now, now + for_s))
            return True

    def resign(self, worker: str) -> None:
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM lease WHERE worker = ?", (worker,))

    def record(self, name: str) -> str | None:
        with self._transaction() as db:
            row = db.execute("SELECT text FROM records WHERE name = ?", (name,)).fetchone()
            return row[0] if row else None

    def keep(self, name: str, text: str, leader: str) -> bool:
        with self._transaction("IMMEDIATE") as db:
            if _leader(db, self._clock()) != leader:
                return False
            db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (name, text))
            return True

    # --- evidence -----------------------------------------------------------------------------------------

    def add(self, book: str, counts: Counts, writer: str, serial: int) -> None:
        rows = [(book, name, count) for name, count in counts.items()]
        with self._transaction("IMMEDIATE") as db:
            if not _is_new(db, book, writer, serial, self._clock()):
                return
            db.executemany(
                "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                rows,
            )

    def counts(self, book: str) -> Counts:
        with self._transaction() as db:
            return dict(db.execute("SELECT name, count FROM counts WHERE book = ?", (book,)).fetchall())

    def books(self) -> tuple[str, ...]:
        with self._transaction() as db:
            return _books(db)

    def forget_books(self, prefixes: Sequence[str]) -> None:
        with self._transaction("IMMEDIATE") as db:
            gone = [(name,) for name in _books(db) if not name.startswith(tuple(prefixes))]
            db.executemany("DELETE FROM counts WHERE book = ?", gone)
            db.executemany("DELETE FROM serials WHERE book = ?", gone)

    def turn(self, name: str) -> Turn | None:
        with self._transaction() as db:
            row = db.execute("SELECT at, seen FROM turns WHERE name = ?", (name,)).fetchone()
            return turn_of(row[0], json.loads(row[1])) if row else None

    def take_turn(self, name: str, turn: Turn, expected_at: float | None) -> bool:
        with self._transaction("IMMEDIATE") as db:
            row = db.execute("SELECT at FROM turns WHERE name = ?", (name,)).fetchone()
            if (row[0] if row else None) != expected_at:
                return False
            put_turn(db, name, turn)
            return True


def put_turn(db: sqlite3.Connection, name: str, turn: Turn) -> None:
    """Only a new one can be one too many: to look for it takes a walk over all that are kept."""
    seen = json.dumps([list(box) for box in turn.seen])
    if db.execute("UPDATE turns SET at = ?, seen = ? WHERE name = ?", (turn.at, seen, name)).rowcount:
        return
    db.execute("INSERT INTO turns VALUES (?, ?, ?)", (name, turn.at, seen))
    db.execute(
        "DELETE FROM turns WHERE name IN (SELECT name FROM turns ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (MAX_TURNS,),
    )


def _leader(db: sqlite3.Connection, now: float) -> str | None:
    """A lease that was taken in the future was taken before this machine's clock was set back: it is void."""
    row = db.execute("SELECT worker FROM lease WHERE taken_at <= ? AND ends_at > ?", (now, now)).fetchone()
    return row[0] if row else None


def _is_new(db: sqlite3.Connection, book: str, writer: str, serial: int, now: float) -> bool:
    """Whether this serial was not added yet; it is noted as added then. A writer that is new in a book goes through
    all of them once, and forgets the old ones."""
    row = db.execute("SELECT serial FROM serials WHERE book = ? AND writer = ?", (book, writer)).fetchone()
    if row and serial <= row[0]:
        return False
    db.execute("INSERT OR REPLACE INTO serials VALUES (?, ?, ?, ?)", (book, writer, serial, now))
    if row is None:
        db.execute("DELETE FROM serials WHERE at < ?", (now - SERIALS_FORGOTTEN_AFTER_S,))
    return True


# From each book to the next one: DISTINCT would read every count of every book.
_NAMES = """
WITH RECURSIVE names (book) AS (
    SELECT min(book) FROM counts
    UNION ALL SELECT (SELECT min(book) FROM counts WHERE book > names.book) FROM names WHERE names.book NOTNULL
)
SELECT book FROM names WHERE book NOTNULL
"""


def _books(db: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(name for (name,) in db.execute(_NAMES))
