"""What somebody else may write into the file that holds the flags, straight into its tables."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from tests.backends import Backend

PATIENCE_S = 10.0  # for workers that write at this moment
LARGE_BYTES = 10 * 1024 * 1024
AWAY = 1_000  # versions ahead of any that a row makes

Spoil = Callable[[int], str]


def _state(**fields: object) -> Spoil:
    return lambda version: json.dumps({"version": version, "enabled": True, "fraction": 0.0, **fields})


SPOILS: Mapping[str, Spoil] = {
    "fraction 7": _state(fraction=7),
    "fraction NaN": _state(fraction=float("nan")),
    "fraction minus 1": _state(fraction=-1),
    "fraction a text": _state(fraction="0"),
    "fraction nothing": _state(fraction=None),
    "another's version": lambda version: json.dumps({"version": version + 1, "fraction": 0.0}),
    "nothing": lambda _: "{}",
    "a text": lambda _: '"half"',
    "no JSON": lambda _: "{",
    "10 MB": lambda version: json.dumps({"version": version, "pins": {"c" * 100: "x" * LARGE_BYTES}}),
    "200,000 pins": _state(pins={f"camera-{number}": "legacy" for number in range(200_000)}),
}


@contextmanager
def spoilt(backend: Backend, spoil: Spoil) -> Iterator[None]:
    """The newest state is such a one; taken out again at the end."""
    with closing(_opened(backend)) as db:
        version = AWAY + newest(backend)
        row = (version, time.time(), "nobody", "spoilt", None, spoil(version))
        db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", row)
        try:
            yield
        finally:
            db.execute("DELETE FROM changes WHERE version = ?", (version,))


@contextmanager
def newer_schema(backend: Backend) -> Iterator[None]:
    """As if a Crossfade of years to come had made the file; it is met when the file is opened anew."""
    with closing(_opened(backend)) as db:
        (known,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {known + 98}")
        try:
            yield
        finally:
            db.execute(f"PRAGMA user_version = {known}")


def turn_back(backend: Backend) -> int:
    """All but the first version is gone; how many were taken away."""
    with closing(_opened(backend)) as db:
        return db.execute("DELETE FROM changes WHERE version > 1").rowcount


def newest(backend: Backend) -> int:
    with closing(_opened(backend)) as db:
        return int(db.execute("SELECT max(version) FROM changes").fetchone()[0])


def _opened(backend: Backend) -> sqlite3.Connection:
    return sqlite3.connect(_file(backend), timeout=PATIENCE_S, isolation_level=None)


def _file(backend: Backend) -> Path:
    return backend.var / "crossfade.db"
