"""One contract for whatever keeps the flags, tried on all that do; then what a file can suffer besides."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.rollout.memory_store import MemoryStore
from backend.rollout.quota import Quota, Seen
from backend.rollout.sqlite_schema import READER
from backend.rollout.sqlite_store import FORGOTTEN_AFTER_S, SqliteStore
from backend.rollout.state import RolloutState
from backend.rollout.store import Beat, Change, Store, StoreAway
from backend.rollout.stores import open_store

Opener = Callable[[], Store]


def change(version: int, fraction: float = 0.0, who: str = "anna") -> Change:
    state = RolloutState(version=version, fraction=fraction, overrides={"d": 0.5}, pins={"gate": "triton"})
    return Change.made(None, state, who=who, reason="a try", at=1000.0 + version)


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Makes one more worker's store on the same content."""
    shared = MemoryStore()
    made: list[Store] = []

    def open_one() -> Store:
        made.append(shared if request.param == "memory" else SqliteStore(tmp_path / "flags" / "x.db"))
        return made[-1]

    yield open_one
    for store in made:
        store.close()


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


class TestContract:
    def test_an_empty_store_has_no_change_and_no_list(self, opener: Opener) -> None:
        assert (opener().read().change, dict(opener().read().quotas), opener().history(10)) == (None, {}, ())

    def test_what_one_worker_writes_the_other_reads(self, opener: Opener) -> None:
        one, two = opener(), opener()
        assert one.write(change(1, 0.25), None)
        assert two.read().change == change(1, 0.25)
        assert two.read().change.state.pins == {"gate": "triton"}  # type: ignore[union-attr]

    def test_a_write_that_expects_another_version_changes_nothing(self, opener: Opener) -> None:
        one, two = opener(), opener()
        assert one.write(change(1), None)
        assert not two.write(change(1, who="otto"), None)
        assert not two.write(change(3), 2)
        assert two.history(10) == (change(1),)

    def test_of_many_that_write_at_once_one_wins_each_version(self, opener: Opener) -> None:
        opener().write(change(0), None)
        won: list[int] = []

        def race(worker: int) -> None:
            store = opener()
            won.extend(v for v in range(20) if store.write(change(v + 1, who=str(worker)), v))

        threads = [threading.Thread(target=race, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(won) == len(set(won))
        assert [entry.version for entry in opener().history(100)] == list(range(len(won), -1, -1))

    def test_a_version_may_jump_where_a_newer_state_is_put_back(self, opener: Opener) -> None:
        store = opener()
        assert store.write(change(40), None)
        assert store.write(change(57), 40)
        assert [entry.version for entry in store.history(10)] == [57, 40]

    def test_history_is_newest_first_and_no_longer_than_asked(self, opener: Opener) -> None:
        store = opener()
        for version in range(1, 6):
            store.write(change(version), version - 1 or None)
        assert [entry.version for entry in store.history(3)] == [5, 4, 3]

    def test_a_change_of_another_worker_is_announced(self, opener: Opener) -> None:
        one, two = opener(), opener()
        one.changed(), one.read()
        two.write(change(1), None)
        assert one.changed()

    def test_a_worker_has_one_beat_and_hears_which_one_it_replaces(self, opener: Opener) -> None:
        one, two = opener(), opener()
        last = Beat("b", 5.1, 1, {"rtdetr": Seen(9, {"gate": 4})})
        assert [one.beat(Beat("b", 4.1, 0)), two.beat(Beat("a", 5.0, 1)), one.beat(last)] == [None, None, 4.1]
        assert two.beats() == (Beat("a", 5.0, 1), last)
        two.forget("b")
        assert one.beats() == (Beat("a", 5.0, 1),)

    def test_published_lists_replace_one_another(self, opener: Opener) -> None:
        one, two = opener(), opener()
        one.publish({"rtdetr": Quota((("b", 0.5), ("a", 0.25))), "yolo26": Quota()})
        one.publish({"rtdetr": Quota((("a", 0.5),))})
        assert dict(two.read().quotas) == {"rtdetr": Quota((("a", 0.5),))}


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
