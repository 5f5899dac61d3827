"""One contract for whatever keeps the flags, tried on all that do: in memory, a SQLite file, a real Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.rollout.quota import Quota, Seen
from backend.rollout.state import RolloutState
from backend.rollout.store import Beat, Change, HasContent, Sample, SampleLimits, Store, StoreAway, Turn
from backend.rollout.stores import memory_store, redis_evidence, sqlite_evidence
from backend.rollout.stores.memory_store import MemoryStore
from backend.rollout.stores.opening import open_store
from backend.rollout.stores.words import sample_text
from tests.redis_server import RedisServer, needs_redis, running_redis

Opener = Callable[[], Store]
KINDS = ["memory", "sqlite", pytest.param("redis", marks=needs_redis)]
MANY = SampleLimits(100, 1_000_000, 3600.0)


def change(version: int, fraction: float = 0.0, who: str = "anna", **more: Any) -> Change:
    state = RolloutState(version=version, fraction=fraction, overrides={"d": 0.5}, pins={"gate": "triton"})
    return Change.made(None, state, who=who, reason="a try", at=1000.0 + version, **more)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Makes one more worker's store on the same content."""
    made: list[Store] = []
    shared = MemoryStore()
    url = f"sqlite:///{tmp_path}/flags/x.db"
    if request.param == "redis":
        url = request.getfixturevalue("server").url + f"/0?prefix={tmp_path.name}"

    def open_one() -> Store:
        made.append(shared if request.param == "memory" else open_store(url))
        return made[-1]

    yield open_one
    for store in made:
        store.close()


def sample(name: str, at: float | None = None, **more: Any) -> Sample:
    usual: dict[str, Any] = {
        "detector": "yolo26", "camera": "gate", "epoch": "r.1", "light": "day", "model_version": "1",
        "kinds": ("missed",), "labels": ("person",), "legacy": ((1.0, 2.0, 3.5, 4.0, 0.9, 0.0),), "triton": (),
        "width": 640, "height": 480,
    }  # fmt: skip
    return Sample(id=name, at=time.time() if at is None else at, **usual | more)


class TestFlags:
    def test_an_empty_store_has_no_change_and_no_list(self, opener: Opener) -> None:
        assert (opener().read().change, dict(opener().read().quotas), opener().history(10)) == (None, {}, ())

    def test_what_one_worker_writes_the_other_reads(self, opener: Opener) -> None:
        one, two = opener(), opener()
        assert one.write(change(1, 0.25), None)
        assert two.read().change == change(1, 0.25)
        assert two.read().change.state.pins == {"gate": "triton"}  # type: ignore[union-attr]

    def test_a_change_keeps_what_it_was_decided_by(self, opener: Opener) -> None:
        one, two = opener(), opener()
        decided = change(1, figures={"samples": 423, "high": 0.0099, "words": "good enough"})
        one.write(decided, None)
        one.write(change(2), 1)
        assert two.history(2) == (change(2), decided)

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

        in_threads(4, race)
        assert len(won) == len(set(won))
        assert [entry.version for entry in opener().history(100)] == list(range(len(won), -1, -1))

    def test_a_version_may_jump_where_a_newer_state_is_put_back(self, opener: Opener) -> None:
        store = opener()
        assert store.write(change(40), None)
        assert store.write(change(57), 40)
        assert [entry.version for entry in store.history(10)] == [57, 40]

    def test_history_is_newest_first_and_no_longer_than_asked(self, opener: Opener) -> None:
        store = opener()
        for version in range(1, 13):
            store.write(change(version), version - 1 or None)
        assert [entry.version for entry in store.history(3)] == [12, 11, 10]
        assert [entry.version for entry in store.history(3, before=10)] == [9, 8, 7]
        assert store.history(3, before=1) == ()

    def test_a_change_of_another_worker_is_announced(self, opener: Opener) -> None:
        one, two = opener(), opener()
        one.changed(), one.read()
        two.write(change(1), None)
        assert one.changed()

    def test_published_lists_replace_one_another(self, opener: Opener) -> None:
        one, two = opener(), opener()
        one.publish({"rtdetr": Quota((("b", 0.5), ("a", 0.25))), "yolo26": Quota()})
        one.publish({"rtdetr": Quota((("a", 0.5),))})
        assert dict(two.read().quotas) == {"rtdetr": Quota((("a", 0.5),))}

    def test_a_worker_has_one_beat_and_hears_which_one_it_replaces(self, opener: Opener) -> None:
        one, two = opener(), opener()
        last = Beat("b", 5.1, 1, {"rtdetr": Seen(9, {"gate": 4})})
        assert [one.beat(Beat("b", 4.1, 0)), two.beat(Beat("a", 5.0, 1)), one.beat(last)] == [None, None, 4.1]
        assert two.beats() == (Beat("a", 5.0, 1), last)
        two.forget("b")
        assert one.beats() == (Beat("a", 5.0, 1),)

    def test_all_have_the_same_clock(self, opener: Opener) -> None:
        one, two = opener(), opener()
        for store in (one, two):
            store.read(), store.beat(Beat("a", 1.0, 1))
        times = [one.now(), two.now(), one.now(), two.now()]
        assert all(abs(a - b) < 0.25 for a in times for b in times)
        assert abs(times[0] - time.time()) < 5  # of this machine here, whoever keeps it


class TestLeader:
    def test_one_leads_until_its_lease_ends(self, opener: Opener) -> None:
        one, two = opener(), opener()
        assert [one.lead("a", 60), two.lead("b", 60), one.lead("a", 0.02)] == [True, False, True]
        deadline = time.monotonic() + 30
        while not two.lead("b", 60):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert not one.lead("a", 60)

    def test_a_leader_may_resign_and_nobody_for_it(self, opener: Opener) -> None:
        one, two = opener(), opener()
        one.lead("a", 60)
        two.resign("b")
        assert not two.lead("b", 60)
        one.resign("a")
        assert two.lead("b", 60)

    def test_of_many_that_want_to_lead_one_does(self, opener: Opener) -> None:
        leading: list[int] = []

        def want(worker: int) -> None:
            leading.extend([worker] if opener().lead(str(worker), 60) else [])

        in_threads(6, want)
        assert len(leading) == 1

    def test_who_leads_no_more_writes_no_record(self, opener: Opener) -> None:
        one, two = opener(), opener()
        assert not one.keep("look/yolo26", "nobody's", "a")
        one.lead("a", 60)
        assert one.keep("look/yolo26", "the old one's", "a")
        one.resign("a"), two.lead("b", 60)
        assert not one.keep("look/yolo26", "late words of the old one", "a")
        assert two.record("look/yolo26") == "the old one's"
        assert two.keep("look/yolo26", "the new one's: ×", "b")
        assert one.record("look/yolo26") == "the new one's: ×"
        assert one.record("look/rtdetr") is None


class TestBooks:
    def test_what_workers_count_adds_up(self, opener: Opener) -> None:
        one, two = opener(), opener()
        one.add("yolo26/r.1", {"errors.0": 5, "camera.gate: 1": 2}, "a", 1)
        two.add("yolo26/r.1", {"errors.0": 7, "errors.1": 1}, "b", 1)
        two.add("yolo26/r.2", {"errors.0": 1}, "b", 2)
        assert one.counts("yolo26/r.1") == {"errors.0": 12, "errors.1": 1, "camera.gate: 1": 2}
        assert (one.counts("rtdetr/idle"), one.books()) == ({}, ("yolo26/r.1", "yolo26/r.2"))

    def test_what_is_sent_again_counts_once(self, opener: Opener) -> None:
        one = opener()
        for serial in (1, 1, 2, 1, 2):
            one.add("book", {"x": 1}, "a", serial)
        one.add("another book", {"x": 1}, "a", 2)
        opener().add("book", {"x": 1}, "b", 1)
        assert (one.counts("book"), one.counts("another book")) == ({"x": 3}, {"x": 1})

    def test_counts_of_many_at_once_are_all_there(self, opener: Opener) -> None:
        """Whoever finds the store busy sends again."""

        def count(worker: int) -> None:
            store, serial = opener(), 0
            while serial < 25:
                with suppress(StoreAway):
                    store.add("book", {"x": 1, str(worker): 2}, str(worker), serial)
                    serial += 1

        in_threads(4, count)
        assert opener().counts("book") == {"x": 100, "0": 50, "1": 50, "2": 50, "3": 50}

    def test_books_are_forgotten_but_for_some(self, opener: Opener) -> None:
        store = opener()
        for book in ("yolo26/r1.1", "yolo26/r1.2", "yolo26/r2.1", "yolo26/idle", "rtdetr/idle"):
            store.add(book, {"x": 1}, "a", 1)
        store.forget_books(["yolo26/r2.", "rtdetr/"])
        assert store.books() == ("rtdetr/idle", "yolo26/r2.1")
        assert store.counts("yolo26/idle") == {}


class TestTurns:
    def test_a_turn_is_taken_by_one_of_those_that_saw_the_same(self, opener: Opener) -> None:
        one, two = opener(), opener()
        first = Turn(10.1, ((1.0, 2.0, 3.0, 4.5, 0.0),))
        assert one.turn("yolo26/gate") is None
        assert [one.take_turn("yolo26/gate", first, None), two.take_turn("yolo26/gate", Turn(10.2, ()), None)] == [
            True, False,
        ]  # fmt: skip
        assert two.turn("yolo26/gate") == first
        assert two.take_turn("yolo26/gate", Turn(15.3, ()), 10.1)
        assert not one.take_turn("yolo26/gate", Turn(15.2, ()), 10.1)
        assert one.turn("yolo26/gate") == Turn(15.3, ())

    def test_of_too_many_the_oldest_is_forgotten(
        self, opener: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (memory_store, sqlite_evidence, redis_evidence):
            monkeypatch.setattr(module, "MAX_TURNS", 2)
        store = opener()
        for name, at in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
            store.take_turn(name, Turn(at, ()), None)
        assert [store.turn(name) is not None for name in "abc"] == [True, False, True]


ODD_NAMES = ('the "back" door', "C:\\gate", "Tür", "門", "yolo26", "missed", "a\tb")


class TestSamples:
    def test_a_sample_comes_back_as_it_was_with_its_picture(self, opener: Opener) -> None:
        one, two = opener(), opener()
        kept = sample("00a", 1e9, kinds=("missed", "swapped"), camera="Tor – süd")
        one.add_sample(kept, b"\xff\xd8 a picture \x00", SampleLimits(10, 10_000, 1e12))
        assert two.samples(10) == (kept,)
        assert (two.picture("00a"), two.picture("00b")) == (b"\xff\xd8 a picture \x00", None)

    def test_they_are_listed_newest_first_by_what_is_asked_for(self, opener: Opener) -> None:
        store = opener()
        store.add_sample(sample("1", camera="yard"), b"x", MANY)
        store.add_sample(sample("2", kinds=("extra", "swapped"), labels=("car", "person")), b"x", MANY)
        store.add_sample(sample("3", detector="rtdetr"), b"x", MANY)

        def ids(limit: int = 10, **words: str) -> str:
            return "".join(one.id for one in store.samples(limit, **words))

        assert (ids(), ids(2), ids(detector="yolo26"), ids(1, detector="yolo26")) == ("321", "32", "21", "2")
        assert (ids(camera="gate"), ids(kind="swapped"), ids(label="person"), ids(label="pers")) == (
            "32", "2", "321", "",
        )  # fmt: skip

    def test_a_name_that_json_writes_otherwise_is_found_as_well(self, opener: Opener) -> None:
        store = opener()
        for number, camera in enumerate(ODD_NAMES):
            store.add_sample(sample(str(number), camera=camera), b"x", MANY)
        assert [[one.camera for one in store.samples(9, camera=name)] for name in ODD_NAMES] == [
            [name] for name in ODD_NAMES
        ]

    def test_more_than_one_page_of_them_is_searched(self, opener: Opener) -> None:
        store = opener()
        for number in range(230):
            camera = "yard" if number == 3 else "gate"
            store.add_sample(sample(f"{number:04}", camera=camera), b"x", SampleLimits(1000, 10**7, 3600.0))
        assert [one.id for one in store.samples(5, camera="yard")] == ["0003"]
        assert len(store.samples(1000)) == 230

    def test_too_many_let_the_oldest_go(self, opener: Opener) -> None:
        store = opener()
        for name in "abcd":
            store.add_sample(sample(name), b"x", replace(MANY, count=2))
        assert [one.id for one in store.samples(10)] == ["d", "c"]
        assert (store.picture("b"), store.picture("c")) == (None, b"x")

    def test_too_many_bytes_let_the_oldest_go_and_one_that_is_too_large_is_not_kept(
        self, opener: Opener
    ) -> None:
        store = opener()
        room = replace(MANY, total_bytes=2 * (len(sample_text(sample("a", 1e9))) + 1000))
        young = time.time() - 1
        for name in "abc":
            store.add_sample(sample(name, round(young)), b"x" * 1000, room)
        store.add_sample(sample("d"), b"x" * 100_000, room)
        assert [one.id for one in store.samples(10)] == ["c", "b"]

    def test_old_ones_go(self, opener: Opener) -> None:
        store = opener()
        store.read()
        for name, age_s in (("a", 5000), ("b", 3000), ("c", 1000)):
            store.add_sample(sample(name, store.now() - age_s), b"x", replace(MANY, age_s=3600.0))
        assert [one.id for one in store.samples(10)] == ["c", "b"]

    def test_the_same_sample_again_is_one(self, opener: Opener) -> None:
        store = opener()
        for picture in (b"x", b"yy"):
            store.add_sample(sample("a"), picture, replace(MANY, count=1))
        assert (len(store.samples(10)), store.picture("a")) == (1, b"yy")

    def test_those_of_a_camera_or_all_are_removed(self, opener: Opener) -> None:
        one, two = opener(), opener()
        for name, camera in (("a", "gate"), ("b", "yard"), ("c", "gate"), ("d", "a gate"), ("e", "")):
            one.add_sample(sample(name, camera=camera), b"x", MANY)
        assert two.remove_samples("gate") == 2
        assert [one.id for one in one.samples(10)] == ["e", "d", "b"]
        assert (one.picture("a"), one.picture("b")) == (None, b"x")
        assert [two.remove_samples(""), two.remove_samples(None), two.remove_samples(None)] == [1, 2, 0]
        assert one.samples(10) == ()
        one.add_sample(
            sample("f"), b"x" * 100, replace(MANY, total_bytes=1000)
        )  # what went is not counted any more
        assert [one.id for one in one.samples(10)] == ["f"]


def filled(store: Store) -> None:
    store.write(change(3, figures={"samples": 9}), None)
    store.write(change(7, 0.5), 3)
    store.publish({"rtdetr": Quota((("b", 0.5),))})
    store.lead("a", 60)
    store.keep("look/yolo26", '{"words": "hold"}', "a")
    store.add("yolo26/r.1", {"errors.0": 5, "x": 1}, "a", 9)
    store.take_turn("yolo26/gate", Turn(10.25, ((1.0, 2.0, 3.0, 4.5, 0.0),)), None)
    store.beat(Beat("a", 1.0, 7))
    for name in "ab":
        store.add_sample(sample(name, 1e9), bytes(range(256)), SampleLimits(10, 10_000, 1e12))


class TestAsAWhole:
    @pytest.mark.parametrize("into", KINDS)
    def test_what_one_store_tells_another_can_load(
        self, opener: Opener, into: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        one = opener()
        filled(one)
        rows = list(one.dump())
        urls = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/other.db"}
        if into == "redis":
            urls["redis"] = f"{request.getfixturevalue('server').url}?prefix=other-{tmp_path.name}"
        other = open_store(urls[into])
        try:
            other.load(rows)
            assert list(other.dump()) == rows
            assert [row["row"] for row in rows] == [
                "change", "change", "quota", "record", "book", "turn", "sample", "sample",
            ]  # fmt: skip
            assert other.read() == one.read()
            assert (other.beats(), other.lead("b", 60)) == ((), True)
            other.add("yolo26/r.1", {"x": 1}, "a", 1)
            assert other.counts("yolo26/r.1") == {"errors.0": 5, "x": 2}
        finally:
            other.close()

    def test_a_store_with_content_loads_nothing(self, opener: Opener) -> None:
        store = opener()
        store.write(change(1), None)
        with pytest.raises(HasContent, match="has content"):
            store.load(
                [{"row": "change"} | change(2).to_table(), {"row": "record", "name": "a", "text": "b"}]
            )
        assert (store.history(10), store.record("a")) == ((change(1),), None)

    @pytest.mark.parametrize("bad", [
        {"row": "turn", "name": "gate", "at": 1.0, "seen": [["x"]]},
        {"row": "change"} | change(2).to_table() | {"version": "2"},
    ])  # fmt: skip
    def test_one_bad_row_leaves_nothing_of_the_others(self, opener: Opener, bad: dict[str, Any]) -> None:
        store = opener()
        rows: list[dict[str, Any]] = [
            {"row": "book", "name": "b", "counts": {"a": 5}},
            {"row": "record", "name": "r", "text": ""},
            {"row": "change"} | change(1).to_table(),
            bad,
        ]
        with pytest.raises((StoreAway, ValueError)):
            store.load(rows)
        assert list(store.dump()) == []

    def test_a_row_that_nobody_knows_is_no_content(self, opener: Opener) -> None:
        store = opener()
        with pytest.raises((StoreAway, ValueError), match="colour"):
            store.load([{"row": "change"} | change(2).to_table(), {"row": "colour"}])
        assert store.read().change is None


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
