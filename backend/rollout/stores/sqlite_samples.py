"""Pairs that differ, with their pictures, in the SQLite file: every worker shows them, and what is removed is gone.

SQLite overwrites what is deleted (`secure_delete`), but its -wal still holds what was written before: it is emptied
after a removal.
"""

from __future__ import annotations

import sqlite3

from backend.rollout.store import Sample, SampleLimits, StoreAway
from backend.rollout.stores.sqlite_file import SqliteFile
from backend.rollout.stores.words import sample_from, sample_text


class SqliteSamples(SqliteFile):
    def add_sample(self, sample: Sample, picture: bytes, limits: SampleLimits) -> None:
        if len(sample_text(sample)) + len(picture) > limits.total_bytes:
            return
        with self._transaction("IMMEDIATE") as db:
            put_sample(db, sample, picture, sample.at + limits.age_s)
            _forget_oldest(db, limits, self._clock() - limits.age_s)

    def samples(
        self, limit: int, detector: str = "", camera: str = "", kind: str = "", label: str = ""
    ) -> tuple[Sample, ...]:
        wanted = {"detector": detector, "camera": camera, "kind": kind, "label": label, "limit": limit}
        with self._transaction() as db:
            return tuple(sample_from(words) for (words,) in db.execute(_LISTED, wanted))

    def picture(self, sample_id: str) -> bytes | None:
        with self._transaction() as db:
            row = db.execute("SELECT picture FROM pictures WHERE id = ?", (sample_id,)).fetchone()
            return bytes(row[0]) if row else None

    def remove_samples(self, camera: str | None) -> int:
        with self._transaction("IMMEDIATE") as db:
            gone = _remove(db, camera)
        with self._connection() as db:
            (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreAway(
                f"The samples are removed ({gone}), but {self._path}-wal still holds what they were: "
                "another worker is reading. Remove them again in a moment."
            )
        return gone


_LISTED = """
SELECT words FROM samples
WHERE :detector IN ('', detector) AND :camera IN ('', camera)
    AND (:kind = '' OR EXISTS (SELECT 1 FROM json_each(words, '$.kinds') WHERE value = :kind))
    AND (:label = '' OR EXISTS (SELECT 1 FROM json_each(words, '$.labels') WHERE value = :label))
ORDER BY id DESC LIMIT :limit
"""


def _remove(db: sqlite3.Connection, camera: str | None) -> int:
    """Two statements, so that one camera's are found without reading the others'."""
    if camera is None:
        return db.execute("DELETE FROM samples").rowcount
    return db.execute("DELETE FROM samples WHERE camera = ?", (camera,)).rowcount


def _forget_oldest(db: sqlite3.Connection, limits: SampleLimits, oldest_at: float) -> None:
    """One after the other, by their ids: a search for the old ones would read every row, its words too."""
    count, held = db.execute("SELECT count(*), total(bytes) FROM samples").fetchone()
    while row := db.execute("SELECT id, at, bytes FROM samples ORDER BY id LIMIT 1").fetchone():
        oldest, at, size = row
        if at >= oldest_at and count <= limits.count and held <= limits.total_bytes:
            return
        db.execute("DELETE FROM samples WHERE id = ?", (oldest,))
        count, held = count - 1, held - size


def forget_old_samples(db: sqlite3.Connection, now: float) -> None:
    """While none is added that would make the old ones go."""
    db.execute("DELETE FROM samples WHERE ends_at < ?", (now,))


def put_sample(db: sqlite3.Connection, sample: Sample, picture: bytes, ends_at: float | None = None) -> None:
    words = sample_text(sample)
    size = len(words) + len(picture)
    row = (sample.id, sample.at, sample.detector, sample.camera, size, ends_at, words)
    db.execute("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    db.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?)", (sample.id, picture))
