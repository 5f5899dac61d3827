"""Which pictures there are and which are told of already, in order: in a scratch file, so that a million take no room.

SQLite makes the file without a name where temporary files lie, and it is gone with the process, however that ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from backend.batch.errors import CannotBatch

_TABLE = "CREATE TABLE pictures (name BLOB PRIMARY KEY, listed INTEGER, told INTEGER) WITHOUT ROWID"
_CACHE = "PRAGMA cache_size = -2000"  # KiB
_LIST = "INSERT OR IGNORE INTO pictures VALUES (?, 1, 0)"
_TELL = """
    INSERT INTO pictures VALUES (?, 0, 1)
    ON CONFLICT (name) DO UPDATE SET told = 1 WHERE told = 0
"""


@contextmanager
def scratch() -> Iterator[Ledger]:
    """CannotBatch where there is no room for it."""
    try:
        with closing(sqlite3.connect("", isolation_level=None)) as db:
            yield Ledger(db)
    except sqlite3.Error as error:
        raise CannotBatch(f"the names find no room among temporary files, in TMPDIR ({error})") from error


class Ledger:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._db.execute(_CACHE)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(_TABLE)
        self._db.execute("BEGIN")

    def list(self, names: Iterable[bytes]) -> None:
        self._db.executemany(_LIST, ((name,) for name in names))

    def tell(self, name: bytes) -> bool:
        """There is a line for it; False if there was one before."""
        return self._db.execute(_TELL, (name,)).rowcount == 1

    def is_listed(self, name: bytes) -> bool:
        return (
            self._db.execute("SELECT 1 FROM pictures WHERE name = ? AND listed", (name,)).fetchone()
            is not None
        )

    @property
    def listed(self) -> int:
        return self._count("listed")

    @property
    def waiting(self) -> int:
        return self._count("listed AND NOT told")

    def names(self) -> Iterator[bytes]:
        """Of those that wait, by their bytes: the same order on every machine."""
        asked = self._db.execute("SELECT name FROM pictures WHERE listed AND NOT told ORDER BY name")
        return (name for (name,) in asked)

    def _count(self, which: str) -> int:
        (count,) = self._db.execute(f"SELECT count(*) FROM pictures WHERE {which}").fetchone()  # noqa: S608 - ours
        return int(count)
