"""A state in the store that nobody can obey: the last good one holds, and the other is not read again and again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backend.rollout.crew import Worker
from backend.rollout.environment import EnvironmentWatch, LastSeen
from backend.rollout.journal import Journal
from backend.rollout.quota import Traffic
from backend.rollout.store import Snapshot
from backend.rollout.stores.sqlite_store import SqliteStore
from backend.rollout.watch import Keeper

pytestmark = pytest.mark.usefixtures("nothing_said_of_flags")

LOOKS = 20


class ReadCounted(SqliteStore):
    reads = 0

    def read(self) -> Snapshot:
        self.reads += 1
        return super().read()


@pytest.fixture
def store(tmp_path: Path) -> ReadCounted:
    return ReadCounted(tmp_path / "flags.db")


@pytest.fixture
def keeper(store: ReadCounted, tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(
        store, Journal(tmp_path / "journal.jsonl"), EnvironmentWatch(tmp_path / ".env", 0.01),
        LastSeen(tmp_path / "seen.json"), Worker("a", 1.0, "request", True), Traffic(10),
    )  # fmt: skip
    made.begin()
    made.change({"fraction": 0.5}, who="anna", reason="go", version=None)
    yield made
    made.close()


def test_it_is_read_when_somebody_wrote(store: ReadCounted, keeper: Keeper, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "flags.db", isolation_level=None)) as somebody:
        spoilt = json.dumps({"version": 9, "fraction": 7})
        somebody.execute("INSERT INTO changes VALUES (9, 0, 'nobody', '', NULL, ?)", (spoilt,))
        before = store.reads
        for _ in range(LOOKS):
            keeper.look()
        assert keeper.view.stale
        assert keeper.view.obeyed.fraction == 0.5
        assert store.reads - before < LOOKS / 2
        somebody.execute("DELETE FROM changes WHERE version = 9")
        keeper.look()
    assert not keeper.view.stale
