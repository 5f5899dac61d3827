"""What a file can suffer that keeps the flags, besides the contract of all stores."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.rollout.memory_store import MemoryStore
from backend.rollout.sqlite_schema import READER
from backend.rollout.sqlite_store import FORGOTTEN_AFTER_S, SqliteStore
from backend.rollout.state import RolloutState
from backend.rollout.store import Beat, Change, StoreAway
from backend.rollout.stores import open_store


def change(version: int, fraction: float = 0.0, who: str = "anna") -> Change:
    state = RolloutState(version=version, fraction=fraction, overrides={"d": 0.5}, pins={"gate": "triton"})
    return Change.made(None, state, who=who, reason="a try", at=1000.0 + version)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def stores(path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    pair = SqliteStore(path), SqliteStore(path)
    for store in pair:
        store.read()
    yield pair
    for store in pair:
        store.close()


class TestFile:
    def test_nobody_else_may_read_it(self, stores: tuple[SqliteStore, SqliteStore], path: Path) -> None:
        stores[0].write(change(1), None)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == dict.fromkeys(["x.db", "x.db-wal", "x.db-shm", "x.db.lock"], 0o600)

    def test_an_own_quiet_store_announces_nothing(self, stores: tuple[SqliteStore, SqliteStore]) -> None:
        one, _ = stores
        one.changed()
        assert not any(one.changed() for _ in range(5))

    @pytest.mark.parametrize("how", ["deleted", "deleted with its helpers", "emptied", "exchanged"])
    def test_a_file_that_is_gone_under_them_is_noticed_by_both_and_works_again(
        self, stores: tuple[SqliteStore, SqliteStore], path: Path, how: str
    ) -> None:
        one, two = stores
        one.write(change(1), None)
        assert two.read().change == change(1)
        one.changed(), two.changed()
        if how == "emptied":
            os.truncate(path, 0)
        elif how == "exchanged":
            (path.parent / "other").write_bytes(b"")
            (path.parent / "other").replace(path)
        else:
            for file in path.parent.glob("x.db*" if how == "deleted with its helpers" else "x.db"):
                file.unlink()
        assert one.changed()
        assert two.changed()
        assert one.read().change is two.read().change is None
        assert two.write(change(5), None)
        assert one.read().change == change(5)
        assert one.write(change(6), 5)
        assert [entry.version for entry in two.history(10)] == [6, 5]

    def test_a_deleted_file_is_made_once_however_many_see_it(self, path: Path) -> None:
        for _ in range(10):
            found: list[int] = []
            barrier = threading.Barrier(6)

            def make(name: str, barrier: threading.Barrier = barrier, found: list[int] = found) -> None:
                store = SqliteStore(path)
                barrier.wait(10)
                store.beat(Beat(name, 1.0, 1))
                barrier.wait(10)
                found.append(len(store.beats()))
                barrier.wait(10)
                store.close()

            threads = [threading.Thread(target=make, args=(str(n),)) for n in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert found == [6] * 6
            for file in path.parent.glob("x.db*"):
                file.unlink()

    def test_a_store_of_a_newer_schema_is_refused_in_words_and_left_alone(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {READER + 1}")
        db.close()
        with pytest.raises(StoreAway, match="newer Crossfade"):
            SqliteStore(path).read()
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        db.close()

    def test_a_file_that_is_no_database_is_away_until_somebody_mends_it(self, path: Path) -> None:
        path.write_text("not a database, but long enough to be looked at" * 100)
        store = SqliteStore(path)
        with pytest.raises(StoreAway):
            store.read()
        path.unlink()
        assert store.read().change is None
        store.close()

    def test_a_locked_store_is_away_soon_and_back_when_it_is_free(
        self, stores: tuple[SqliteStore, SqliteStore], path: Path
    ) -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreAway, match="locked"):
            stores[0].write(change(1), None)
        assert stores[1].read().change is None  # who reads is not kept waiting
        other.execute("ROLLBACK")
        assert stores[0].write(change(1), None)
        other.close()

    def test_a_full_disk_is_away_and_leaves_what_was_there(
        self, stores: tuple[SqliteStore, SqliteStore], path: Path
    ) -> None:
        one, two = stores
        one.write(change(1), None)
        assert one._open is not None
        one._open.execute("PRAGMA max_page_count = 1")  # SQLite's own way to run out of room
        pages = one._open.execute("PRAGMA page_count").fetchone()[0]
        one._open.execute(f"PRAGMA max_page_count = {pages}")
        big = Change.made(
            None, RolloutState(version=2, pins={f"c{n}": "triton" for n in range(9_000)}), who="a", reason=""
        )
        with pytest.raises(StoreAway, match="full"):
            one.write(big, 1)
        assert two.read().change == one.read().change == change(1)

    def test_a_folder_that_cannot_be_made_is_away(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreAway):
            SqliteStore(tmp_path / "file" / "x.db").read()

    def test_a_row_that_nobody_can_read_is_away(
        self, stores: tuple[SqliteStore, SqliteStore], path: Path
    ) -> None:
        with sqlite3.connect(path) as db:
            db.execute("INSERT INTO changes VALUES (1, 1.0, 'x', 'y', NULL, '{torn')")
        db.close()
        with pytest.raises(StoreAway):
            stores[0].read()

    def test_workers_that_ended_without_a_word_are_dropped_in_the_end(
        self, stores: tuple[SqliteStore, SqliteStore]
    ) -> None:
        stores[0].beat(Beat("dead", 1.0, 1))
        stores[1].beat(Beat("alive", 2.0 + FORGOTTEN_AFTER_S, 1))
        assert [beat.worker for beat in stores[0].beats()] == ["alive"]


def test_a_url_names_the_store(tmp_path: Path) -> None:
    assert isinstance(open_store("memory:"), MemoryStore)
    store = open_store(f"sqlite:///{tmp_path}/deep/x.db")
    store.read()
    store.close()
    assert (tmp_path / "deep" / "x.db").exists()
