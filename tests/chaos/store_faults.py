"""What the store of the flags suffers: each from the beginning of a block to its end."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from tests.chaos.row import Trial
from tests.fault_proxy import HEALTHY, Blackhole, Latency
from tests.redis_server import RedisServer

SLOW_S = 0.06  # each answer of Redis; a worker gives it up after 0.25 s

Fault = Callable[[Trial], AbstractContextManager[None]]


@contextmanager
def locked(trial: Trial) -> Iterator[None]:
    """By another process, which writes and does not end."""
    with closing(sqlite3.connect(_file(trial), timeout=20, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def deleted(trial: Trial) -> Iterator[None]:
    for path in trial.house.backend.var.glob("crossfade.db*"):
        path.unlink(missing_ok=True)
    yield


@contextmanager
def replaced_by_an_old_copy(trial: Trial) -> Iterator[None]:
    """As by a backup that somebody puts back: it knows none of the changes."""
    copy = trial.house.folder / "old.db"
    file = _file(trial)
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    copy.replace(file)
    yield


@contextmanager
def replaced_by_rubbish(trial: Trial) -> Iterator[None]:
    with deleted(trial):
        _file(trial).write_text("rubbish, as long as a page of it\n" * 200)
        yield
        _file(trial).unlink()


@contextmanager
def full(trial: Trial) -> Iterator[None]:
    """As on a full disk, nothing that the backend writes to a file gets there: no store, no journal, no log."""
    pid = trial.house.backend.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def killed(trial: Trial) -> Iterator[None]:
    """It keeps nothing on disk, and comes back empty."""
    _redis(trial).kill()
    yield
    _redis(trial).start()


@contextmanager
def partitioned(trial: Trial) -> Iterator[None]:
    """Nothing is refused, nothing is answered."""
    trial.house.ways["store"].behave(Blackhole())
    yield
    trial.house.ways["store"].behave(HEALTHY)


@contextmanager
def slow(trial: Trial) -> Iterator[None]:
    trial.house.ways["store"].behave(Latency(SLOW_S))
    yield
    trial.house.ways["store"].behave(HEALTHY)


def copy_as_it_began(trial: Trial) -> None:
    with (
        closing(sqlite3.connect(_file(trial))) as db,
        closing(sqlite3.connect(trial.house.folder / "old.db")) as copy,
    ):
        db.backup(copy)
        copy.execute("DELETE FROM changes WHERE version > (SELECT min(version) FROM changes)")
        copy.commit()


def store_url(trial: Trial) -> str:
    return _redis(trial).url if trial.house.redis else f"sqlite:///{_file(trial)}"


def _file(trial: Trial) -> Path:
    return trial.house.backend.var / "crossfade.db"


def _redis(trial: Trial) -> RedisServer:
    assert trial.house.redis is not None
    return trial.house.redis
