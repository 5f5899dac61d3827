"""What stands in the SQLite file, and how an older file becomes one of today.

Two numbers: `user_version` is the least that a reader must know to use the file, `meta` says what the file really has.
Tables are only ever added. A backend of the version before, whose INSERTs name no columns, works beside this one: so a
change's figures have a table of their own.
"""

from __future__ import annotations

import sqlite3

READER = 1  # the newest `user_version` that this Crossfade can use, and what it writes
SCHEMA = 2  # of the tables below, the last of which says so

_FIRST = """
CREATE TABLE IF NOT EXISTS changes (
    version INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL,
    before TEXT, after TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS beats (
    worker TEXT PRIMARY KEY, at REAL NOT NULL, version INTEGER NOT NULL, traffic TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS quotas (detector TEXT PRIMARY KEY, cameras TEXT NOT NULL);
"""

# `figures.at` is the change's: a version that was deleted and made again has not the figures of the old one.
_SECOND = """
CREATE TABLE IF NOT EXISTS figures (version INTEGER PRIMARY KEY, at REAL NOT NULL, figures TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lease (
    one INTEGER PRIMARY KEY CHECK (one = 1), worker TEXT NOT NULL, taken_at REAL NOT NULL, ends_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
    book TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (book, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS serials (
    book TEXT NOT NULL, writer TEXT NOT NULL, serial INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (book, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS turns (name TEXT PRIMARY KEY, at REAL NOT NULL, seen TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS turns_at ON turns (at);
CREATE TABLE IF NOT EXISTS samples (
    id TEXT PRIMARY KEY, at REAL NOT NULL, detector TEXT NOT NULL, camera TEXT NOT NULL, bytes INTEGER NOT NULL,
    ends_at REAL, words TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_bytes ON samples (id, bytes);
CREATE INDEX IF NOT EXISTS samples_ends_at ON samples (ends_at);
CREATE INDEX IF NOT EXISTS samples_camera ON samples (camera);
CREATE TABLE IF NOT EXISTS pictures (id TEXT PRIMARY KEY, picture BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS samples_gone AFTER DELETE ON samples
    BEGIN DELETE FROM pictures WHERE id = old.id; END;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT OR REPLACE INTO meta VALUES ('schema', '2');
"""


class NewerFile(Exception):
    def __init__(self, reader: int) -> None:
        super().__init__(
            f"it was made by a newer Crossfade (schema {reader}; this one knows {READER}). "
            "What it holds stays as it is."
        )


def prepare(db: sqlite3.Connection) -> None:
    """For use by this connection; NewerFile where it must not be touched."""
    (reader,) = db.execute("PRAGMA user_version").fetchone()
    if reader > READER:
        raise NewerFile(reader)
    if reader == 0 or schema_of(db) < SCHEMA:
        db.executescript(f"BEGIN IMMEDIATE; {_FIRST} {_SECOND} PRAGMA user_version = {READER}; COMMIT;")


def schema_of(db: sqlite3.Connection) -> int:
    """1 for a file of before there was a `meta`."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return 1
    row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    return int(row[0]) if row else 1
