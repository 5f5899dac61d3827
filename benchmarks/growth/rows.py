"""A store that holds very many rows, written past the store itself: a million changes one by one would take minutes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import Change, Sample
from backend.rollout.stores.sqlite_store import SqliteStore
from backend.rollout.stores.words import sample_text

PICTURE_BYTES = (
    200  # so that a million fit; a real one has 50 KB, which only reading and deleting it would notice
)
CAMERAS = 100
BOOK_NAMES = 1_000
BOXES = tuple((10.0, 20.0, 110.0, 220.0, 0.75, 1.0) for _ in range(6))
FILLED_AT = 1e9  # unix seconds, when everything was written
AGE_S = 7 * 86_400.0


def filled(path: Path, rows: int) -> SqliteStore:
    """So many changes, samples, counts and serials. Its clock stands still, shortly after."""
    store = SqliteStore(path, clock=lambda: FILLED_AT + 1)
    store.read()  # makes the tables
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for statement, words in _STATEMENTS.items():
            db.execute(_COUNTED + statement, {"rows": rows, **words})
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.changed()
    return store


def change(version: int) -> Change:
    """One of a ramp's, with its figures."""
    ramps = {
        "yolo26": Ramp(id="r", steps=(0.1, 0.5, 1.0), phase="running", step=0, tries=1, step_at=FILLED_AT)
    }
    before = RolloutState(version - 1, fraction=0.1, ramps=ramps)
    figures = {"samples": 1_000, "disagreement": 0.0012, "log_wealth": 3.2, "needed": 2.99}
    after = RolloutState(version, fraction=0.2, ramps=ramps)
    return Change.made(before, after, who="ramp", reason="earned", at=FILLED_AT, figures=figures)


def sample(number: int, camera: str | None = None) -> Sample:
    return Sample(
        f"{number:012}", FILLED_AT, "yolo26", camera or f"camera-{number % CAMERAS}", "r.1", "day", "1", ("missed",),
        ("person",), BOXES, BOXES, 960, 720,
    )  # fmt: skip


_COUNTED = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) "
_CHANGE = change(2)
_STATEMENTS: Mapping[str, Mapping[str, object]] = {
    "INSERT INTO changes SELECT i, :at, 'ramp', 'earned', :before, json_set(:after, '$.version', i) FROM n": {
        "at": FILLED_AT, "before": json.dumps(_CHANGE.before), "after": json.dumps(_CHANGE.after),
    },
    "INSERT INTO figures SELECT i, :at, :figures FROM n": {
        "at": FILLED_AT, "figures": json.dumps(_CHANGE.figures),
    },
    "INSERT INTO samples SELECT printf('%012d', i), :at, 'yolo26', 'camera-' || (i % :cameras), :bytes, :ends_at,"
    " json_set(:words, '$.id', printf('%012d', i), '$.camera', 'camera-' || (i % :cameras)) FROM n": {
        "at": FILLED_AT, "cameras": CAMERAS, "words": sample_text(sample(0)), "ends_at": FILLED_AT + AGE_S,
        "bytes": len(sample_text(sample(0))) + PICTURE_BYTES,
    },
    "INSERT INTO pictures SELECT printf('%012d', i), zeroblob(:bytes) FROM n": {"bytes": PICTURE_BYTES},
    "INSERT INTO counts SELECT printf('book-%09d', i / :names), printf('name-%05d', i % :names), 1 FROM n": {
        "names": BOOK_NAMES,
    },
    "INSERT INTO serials SELECT printf('book-%09d', i / :names), printf('writer-%05d', i % :names), 1, :at FROM n": {
        "names": BOOK_NAMES, "at": FILLED_AT,
    },
}  # fmt: skip
