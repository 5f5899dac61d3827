"""What a file can suffer that keeps the flags, besides the contract of all stores."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from backend.rollout.quota import Quota
from backend.rollout.state import RolloutState
from backend.rollout.store import Beat, Change, Sample, SampleLimits, StoreAway
from backend.rollout.stores.memory_store import MemoryStore
from backend.rollout.stores.opening import open_store
from backend.rollout.stores.sqlite_schema import READER
from backend.rollout.stores.sqlite_store import FORGOTTEN_AFTER_S, SqliteStore
from tests.clocks import HandClock


def change(version: int, fraction: float = 0.0, who: str = "anna", **more: Any) -> Change:
    state = RolloutState(version=version, fraction=fraction, overrides={"d": 0.5}, pins={"gate": "triton"})
    return Change.made(None, state, who=who, reason="a try", at=1000.0 + version, **more)


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

    def test_nobody_makes_a_fresh_file_while_another_is_opening_the_deleted_one(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite opens the -shm by name, and last: it would be the fresh one's, which it cuts short. Then whoever looks
        into that is ended by SIGBUS."""
        with closing(SqliteStore(path)) as store:
            store.read()
        connected, go_on, real = threading.Event(), threading.Event(), sqlite3.connect

        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            db = real(*args, **options)
            if threading.current_thread() is opening:
                connected.set()
                assert go_on.wait(10)
            return db

        def read() -> None:
            with closing(SqliteStore(path)) as store, suppress(StoreAway):
                store.read()

        monkeypatch.setattr(sqlite3, "connect", connect)
        opening, making = threading.Thread(target=read), threading.Thread(target=read)
        opening.start()
        assert connected.wait(10)
        for file in path.parent.glob("x.db*"):  # its lock too
            file.unlink()
        making.start()
        making.join(0.3)
        was_made = path.exists()
        go_on.set()
        opening.join(10)
        making.join(10)
        assert not was_made
        assert path.stat().st_size > 0

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


_OLD_TABLES = """
CREATE TABLE changes (
    version INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL,
    before TEXT, after TEXT NOT NULL
);
CREATE TABLE beats (
    worker TEXT PRIMARY KEY, at REAL NOT NULL, version INTEGER NOT NULL, traffic TEXT NOT NULL
);
CREATE TABLE quotas (detector TEXT PRIMARY KEY, cameras TEXT NOT NULL);
PRAGMA user_version = 1;
"""


def as_before(db: sqlite3.Connection, version: int) -> None:
    """All that a backend of the version before writes, in its words."""
    after = RolloutState(version=version, fraction=0.25).to_json()
    db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", (version, 1.0, "otto", "old", None, after))
    db.execute("INSERT OR REPLACE INTO beats VALUES (?, ?, ?, ?)", (f"old {version}", 1.0, version, "{}"))
    db.execute("DELETE FROM quotas")
    db.executemany("INSERT INTO quotas VALUES (?, ?)", [("rtdetr", '[["gate", 0.5]]')])


class TestSchema:
    def test_a_file_of_the_version_before_is_read_and_gets_what_is_new(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.executescript(_OLD_TABLES)
            as_before(db, 1)
        with closing(SqliteStore(path)) as store:
            read = store.read()
            assert read.change is not None
            assert (read.change.who, read.change.figures) == ("otto", None)
            assert dict(read.quotas) == {"rtdetr": Quota((("gate", 0.5),))}
            decided = change(2, figures={"samples": 5})
            assert store.write(decided, 1)
            store.add("book", {"x": 1}, "a", 1)
            assert (store.history(1), store.counts("book")) == ((decided,), {"x": 1})

    def test_a_backend_of_the_version_before_goes_on_beside_it(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as old:
            old.executescript(_OLD_TABLES)
            as_before(old, 1)
            with closing(SqliteStore(path)) as store:
                store.write(change(2, figures={"samples": 5}), 1)
                as_before(old, 3)
                assert old.execute("PRAGMA user_version").fetchone() == (1,)
                found = old.execute("SELECT version, who FROM changes ORDER BY version").fetchall()
                assert found == [(1, "otto"), (2, "anna"), (3, "otto")]
                assert [one.figures for one in store.history(3)] == [None, {"samples": 5}, None]
                assert [beat.worker for beat in store.beats()] == ["old 1", "old 3"]

    def test_figures_of_a_version_that_was_made_again_are_not_those_of_the_first(
        self, stores: tuple[SqliteStore, SqliteStore], path: Path
    ) -> None:
        stores[0].write(change(1, figures={"samples": 5}), None)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("DELETE FROM changes")
            as_before(db, 1)
        assert [one.figures for one in stores[0].history(1)] == [None]

    def test_a_lease_of_before_the_clock_was_set_back_is_void(self, path: Path) -> None:
        clock = HandClock()
        with closing(SqliteStore(path, clock)) as store:
            assert store.lead("a", 60)
            clock.now -= 3600
            assert store.lead("b", 60)
            assert not store.lead("a", 60)


class TestPictures:
    def test_what_is_removed_is_not_to_be_read_in_any_file(
        self, stores: tuple[SqliteStore, SqliteStore], path: Path
    ) -> None:
        one, two = stores
        room = SampleLimits(100, 10_000_000, 3600.0)
        for number in range(20):
            camera = ("gate", "yard")[number % 2]
            one.add_sample(sample(f"{number:02}", camera), f"a face at the {camera}".encode() * 3000, room)
        assert are_in_files(path, b"a face at the gate")
        assert two.remove_samples("gate") == 10
        assert not are_in_files(path, b"a face at the gate")
        assert are_in_files(path, b"a face at the yard")

    def test_while_another_one_reads_it_is_said_that_they_are_still_there(
        self, stores: tuple[SqliteStore, SqliteStore], path: Path
    ) -> None:
        one, two = stores
        one.add_sample(sample("a", "gate"), b"a face" * 3000, SampleLimits(100, 10_000_000, 3600.0))
        with two._transaction() as db:
            db.execute("SELECT count(*) FROM pictures").fetchone()
            with pytest.raises(StoreAway, match="Remove them again"):
                one.remove_samples(None)
        assert are_in_files(path, b"a face")
        assert (one.samples(10), one.remove_samples(None)) == ((), 0)
        assert not are_in_files(path, b"a face")

    def test_old_ones_go_though_none_is_added(self, path: Path) -> None:
        clock = HandClock()
        with closing(SqliteStore(path, clock)) as store:
            store.add_sample(sample("a", "gate", clock.now), b"x", SampleLimits(9, 10_000, 100.0))
            clock.now += 99
            store.beat(Beat("a", clock.now, 1))
            assert store.picture("a") == b"x"
            clock.now += 2
            store.beat(Beat("a", clock.now, 1))
            assert (store.picture("a"), store.samples(9)) == (None, ())


def sample(name: str, camera: str, at: float | None = None) -> Sample:
    at = time.time() if at is None else at
    return Sample(name, at, "yolo26", camera, "", "day", "1", ("missed",), ("person",), (), (), 9, 9)


def are_in_files(path: Path, words: bytes) -> bool:
    return any(words in file.read_bytes() for file in path.parent.iterdir())


def test_a_url_names_the_store(tmp_path: Path) -> None:
    assert isinstance(open_store("memory:"), MemoryStore)
    store = open_store(f"sqlite:///{tmp_path}/deep/x.db")
    store.read()
    store.close()
    assert (tmp_path / "deep" / "x.db").exists()
