"""Replicas on machines of their own that share a real Redis: what reaches whom, and what Redis can suffer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.exceptions

from ai.core.errors import BadSetting
from ai.triton.embedded.settings import read_settings as read_embedded
from backend import doctor
from backend.rollout.control import LostUpdate, Rollout
from backend.rollout.store import Beat, Change, Sample, SampleLimits, Store, StoreAway
from backend.rollout.stores.dump import row_of
from backend.rollout.stores.opening import open_store, store_name
from backend.rollout.stores.redis_address import RedisAddress
from backend.rollout.stores.redis_client import SILENT_S
from backend.rollout.stores.redis_store import READER, RedisStore
from backend.settings import read_settings
from tests.redis_server import RedisServer, needs_redis, running_redis
from tests.rollout_house import House, until

pytestmark = [pytest.mark.beside, needs_redis, pytest.mark.usefixtures("nothing_said_of_flags")]

SLOW = {"rollout_poll_s": 5.0, "rollout_heartbeat_s": 5.0}  # whoever is not woken sees nothing for so long


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    made = RedisStore(RedisAddress.of(server.url))
    yield made
    made.close()


Machine = Callable[[], House]


@pytest.fixture
async def machine(server: RedisServer, tmp_path: Path) -> AsyncIterator[Machine]:
    async with AsyncExitStack() as stack:
        numbers = count()

        def one_more(url: str = server.url) -> House:
            house = House(tmp_path / f"machine {next(numbers)}", url)
            stack.push_async_callback(house.close)
            return house

        yield one_more


async def set_to(rollout: Rollout, **patch: Any) -> None:
    await rollout.change(patch, who="anna", reason="a try", version=None)


def fraction_of(*workers: Rollout) -> list[float | None]:
    return [worker.flags.view.state.fraction if worker.flags.view.state else None for worker in workers]


class TestFleet:
    async def test_a_change_wakes_every_replica_long_before_its_next_look(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that does not listen sees nothing meanwhile: it is not the looking that brings it."""
        hearing = [await machine().start(name, **SLOW) for name in "abc"]
        monkeypatch.setattr(RedisStore, "subscribe", lambda *_: None)
        deaf = await machine().start("deaf", **SLOW)
        for _ in range(3):
            await deaf.read()  # its first looks are over
        since = time.monotonic()
        await set_to(hearing[0], fraction=0.5)
        await until(lambda: fraction_of(*hearing) == [0.5] * 3)
        assert time.monotonic() - since < SLOW["rollout_poll_s"] / 5
        assert fraction_of(deaf) == [0.1]

    async def test_replicas_that_start_at_once_make_one_state(self, machine: Machine) -> None:
        houses = [machine() for _ in range(4)]
        workers = await asyncio.gather(*(house.start(str(n)) for n, house in enumerate(houses)))
        assert fraction_of(*workers) == [0.1] * 4
        assert houses[0].who() == ["environment"]

    async def test_of_two_that_saw_the_same_one_is_told(self, machine: Machine) -> None:
        one, two = await machine().start("a"), await machine().start("b")
        await one.change({"fraction": 0.5}, who="anna", reason="", version=1)
        with pytest.raises(LostUpdate):
            await two.change({"fraction": 0.9}, who="otto", reason="", version=1)

    async def test_a_rollback_is_confirmed_by_every_live_worker(self, machine: Machine) -> None:
        workers = [await machine().start(name) for name in "abc"]
        await set_to(workers[0], fraction=1.0, pins={"gate": "triton"})
        await until(lambda: fraction_of(*workers) == [1.0] * 3)
        decided = [worker.flags.decide("rtdetr", "gate", "1") for worker in workers]
        assert {decision.backend for decision in decided} == {"triton"}
        done = await workers[1].rollback(who="anna", reason="it looks odd")
        assert (done.pending, fraction_of(*workers)) == ((), [0.0] * 3)
        assert not any(w.flags.still(d, "rtdetr", "gate", "1") for w, d in zip(workers, decided, strict=True))

    async def test_a_worker_that_does_not_confirm_is_named(self, machine: Machine, store: RedisStore) -> None:
        rollout = await machine().start(rollout_ack_s=0.1)
        store.read()
        store.beat(Beat("ghost", store.now() + 60, 1))
        assert (await rollout.rollback(who="anna", reason="")).pending == ("ghost",)

    async def test_the_kill_switch_of_one_machine_is_its_own(self, machine: Machine) -> None:
        here, there = machine(), machine()
        one, two = await here.start("a"), await there.start("b")
        here.say(0.1, "false")
        await until(lambda: one.flags.decide("rtdetr", None, "1").reason == "KILL_SWITCH")
        assert (two.flags.triton_on, here.who()) == (True, ["environment"])


class TestLost:
    async def test_an_emptied_redis_is_filled_from_what_the_workers_know(
        self, machine: Machine, server: RedisServer
    ) -> None:
        houses = machine(), machine()
        one, two = [await house.start(name) for house, name in zip(houses, "ab", strict=True)]
        await set_to(one, fraction=0.5)
        await one.rollback(who="anna", reason="")
        server.client().flushall()
        await until(lambda: houses[0].who() == ["anna"])
        assert ((await two.read()).version, fraction_of(one, two)) == (3, [0.0, 0.0])

    async def test_one_that_was_killed_and_comes_back_empty_is_too(
        self, machine: Machine, server: RedisServer
    ) -> None:
        house = machine()
        one, two = await house.start("a"), await machine().start("b")
        await set_to(one, fraction=1.0)
        await until(lambda: fraction_of(two) == [1.0])
        server.kill()
        await until(lambda: one.stale and two.stale)
        decision = one.flags.decide("rtdetr", None, "1")
        assert (decision.backend, decision.reason) == ("triton", "STALE")
        server.start()
        await until(lambda: not one.stale and not two.stale)
        assert (house.who(), fraction_of(one, two)) == (["anna"], [1.0, 1.0])
        await set_to(two, fraction=0.2)  # and they hear of one another again
        await until(lambda: fraction_of(one) == [0.2])

    async def test_an_older_content_undoes_nothing(self, machine: Machine, server: RedisServer) -> None:
        house = machine()
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        older = server.client().dump("crossfade:changes")
        await rollout.rollback(who="anna", reason="")
        server.client().restore("crossfade:changes", 0, older, replace=True)  # type: ignore[arg-type]
        server.client().set("crossfade:stamp", "older")
        await until(lambda: house.who() == ["environment", "anna", "anna"])
        assert fraction_of(rollout) == [0.0]

    async def test_one_that_cannot_be_reached_is_away_and_a_rollback_follows_when_it_is_back(
        self, machine: Machine, server: RedisServer
    ) -> None:
        house = machine()
        one, two = await house.start("a"), await machine().start("b")
        await set_to(one, fraction=1.0)
        await until(lambda: fraction_of(two) == [1.0])
        server.hang()
        await until(lambda: one.stale)
        with pytest.raises(StoreAway, match="TRITON_ENABLED=false"):
            await one.rollback(who="anna", reason="it looks odd")
        assert fraction_of(one, two) == [0.0, 1.0]  # the other machine is not reached: it is said so
        server.go_on()
        await until(lambda: fraction_of(one, two) == [0.0, 0.0])
        assert house.who() == ["environment", "anna", "anna"]

    @pytest.mark.alone
    def test_a_queue_of_questions_does_not_wait_for_each_in_vain(
        self, store: RedisStore, server: RedisServer
    ) -> None:
        store.read()
        server.hang()
        since = time.monotonic()
        for _ in range(40):
            with pytest.raises(StoreAway):
                store.counts("yolo26/idle")
        took_s = time.monotonic() - since
        assert SILENT_S <= took_s < 40 * SILENT_S / 4
        server.go_on()
        deadline = time.monotonic() + 30
        while True:
            try:
                assert store.counts("yolo26/idle") == {}
                return
            except StoreAway:
                assert time.monotonic() < deadline
                time.sleep(0.01)


class TestMoving:
    async def test_a_machine_that_moves_to_an_empty_store_brings_its_state_along(
        self, server: RedisServer, tmp_path: Path
    ) -> None:
        house = House(tmp_path / "machine")
        before = await house.start()
        await set_to(before, fraction=0.5)
        await before.rollback(who="anna", reason="")
        await house.stop(before)
        house.store_url = server.url
        after = await house.start()
        assert ((await after.read()).version, fraction_of(after), house.who()) == (3, [0.0], ["anna"])
        await house.close()

    async def test_a_machine_that_joins_a_fleet_overrules_nobody(
        self, machine: Machine, server: RedisServer, tmp_path: Path
    ) -> None:
        fleet = await machine().start("fleet")
        await set_to(fleet, fraction=0.3)
        house = House(tmp_path / "alone")
        before = await house.start("alone")
        for fraction in (0.6, 0.7, 0.8, 0.9):
            await set_to(before, fraction=fraction)
        await house.stop(before)
        house.store_url = server.url
        joined = await house.start("alone")
        assert fraction_of(fleet, joined) == [0.3, 0.3]
        await house.close()

    async def test_beside_a_new_store_that_is_away_nothing_of_another_one_is_obeyed(
        self, server: RedisServer, tmp_path: Path
    ) -> None:
        house = House(tmp_path / "machine")
        before = await house.start()
        await set_to(before, fraction=1.0)
        await house.stop(before)
        server.kill()
        house.store_url = server.url
        after = await house.start()
        assert after.flags.decide("rtdetr", None, "1").reason == "COLD_START"
        await house.close()


class TestRedis:
    def test_a_store_of_a_newer_crossfade_is_refused_and_left_alone(
        self, store: RedisStore, server: RedisServer
    ) -> None:
        server.client().set("crossfade:schema", READER + 1)
        with pytest.raises(StoreAway, match="newer Crossfade"):
            store.read()
        with pytest.raises(StoreAway, match="newer Crossfade"):
            store.write(Change(1, 1.0, "a", "b", None, {}), None)
        assert server.client().keys() == [b"crossfade:schema"]

    def test_a_state_that_nobody_can_read_is_away(self, store: RedisStore, server: RedisServer) -> None:
        server.client().zadd("crossfade:changes", {"1 {torn": 1})
        with pytest.raises(StoreAway, match="cannot be used"):
            store.read()

    @pytest.mark.parametrize("version", ["nan", None, 1.5, ""])
    def test_a_content_with_a_version_that_is_none_leaves_nothing_of_it(
        self, store: RedisStore, server: RedisServer, version: object
    ) -> None:
        row = row_of(Change(1, 1.0, "a", "b", None, {}))
        with pytest.raises(StoreAway, match="version"):
            store.load([row, row | {"version": version}])
        assert server.client().keys() == []

    def test_a_long_history_is_loaded_in_pieces_and_is_there_at_once(
        self, store: RedisStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In one command 100,000 changes took longer than a Redis is waited for."""
        together, largest = store._ask_together, []

        def watched(*commands):
            largest.append(max(map(len, commands)))
            assert not server.client().exists("crossfade:changes")
            return together(*commands)

        monkeypatch.setattr(store, "_ask_together", watched)
        rows = [row_of(Change(version, 1.0, "a", "b", None, {})) for version in range(1, 1_051)]
        store.load(rows)
        monkeypatch.undo()
        assert [change.version for change in store.history(2_000)] == list(range(1_050, 0, -1))
        assert max(largest) < 300 < len(rows)
        assert server.client().ttl("crossfade:changes") == -1
        assert sorted(server.client().keys()) == [
            f"crossfade:{name}".encode() for name in ("changes", "schema", "stamp")
        ]

    def test_two_crossfades_may_share_one(self, server: RedisServer) -> None:
        stores = [open_store(f"{server.url}/2?prefix={name}") for name in ("one", "two")]
        stores[0].add("book", {"x": 1}, "a", 1)
        assert [store.books() for store in stores] == [("book",), ()]
        assert all(key.startswith(b"one:") for key in redis.Redis(port=server.port, db=2).scan_iter())  # type: ignore[union-attr]
        for store in stores:
            store.close()

    def test_what_lives_only_for_a_while_ends_by_itself(self, store: RedisStore, server: RedisServer) -> None:
        store.beat(Beat("a", store.now(), 1))
        store.lead("a", 5)
        store.add_sample(sample("a"), b"x", SampleLimits(9, 10_000, 100))
        names = "beats", "beats_at", "lease", "samples_pictures", "samples_bytes"
        assert all(0 < server.client().ttl(f"crossfade:{name}") <= 600 for name in names)  # type: ignore[operator]

    def test_a_machine_with_a_wrong_clock_lives_by_the_common_one(
        self, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = time.time()
        monkeypatch.setattr(time, "time", lambda: right + 3600)
        wrong_before_it_asks = store.now() - right
        store.read()
        assert wrong_before_it_asks > 3599
        assert abs(store.now() - right) < 60

    def test_every_error_of_the_library_is_away(self, store: RedisStore) -> None:
        kinds = [kind for kind in vars(redis.exceptions).values() if isinstance(kind, type)]
        errors = [kind for kind in kinds if issubclass(kind, Exception)]
        assert len(errors) > 10
        strangers = {kind.__name__ for kind in errors if not issubclass(kind, redis.RedisError)}
        assert strangers <= {
            "ChildDeadlockedError",  # of processes that fork with a connection
            "RedisClusterException", "SlotNotCoveredError", "CrossSlotTransactionError", "InvalidPipelineStack",
            "IncorrectPolicyType",  # of its client for clusters
        }  # fmt: skip

    def test_nobody_reads_the_password(self, tmp_path: Path) -> None:
        secret = "s3cret/word"
        with running_redis(tmp_path / "guarded", "--save", "", "--requirepass", secret) as server:
            url = f"redis://default:s3cret%2Fword@127.0.0.1:{server.port}"
            for right in (True, False):
                store = open_store(url if right else url.replace("word", "w0rd"))
                said = tried(store)
                assert (said == "") is right
                store.close()
            server.kill()
            store = open_store(url)
            said += tried(store) + store_name(url) + repr(RedisAddress.of(url))
            store.close()
        assert "cannot be used" in said
        assert "s3cret" not in said
        assert "default" not in said

    def test_a_doctor_says_whether_it_answers_and_nobody_s_password(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROLLOUT_STORE", f"redis://anna:hush@127.0.0.1:{server.port}")
        may = {"passwords": ["+hush"], "keys": ["*"], "categories": ["+@all"]}
        server.client().acl_setuser("anna", enabled=True, **may)  # type: ignore[arg-type]
        patient = doctor.Patient(read_settings(), read_embedded())
        well = ["\n".join(finding.lines) for finding in doctor.store(patient)]
        server.kill()
        ill = ["\n".join(finding.lines) for finding in doctor.store(patient)]
        assert ["OK" in line for line in well + ill] == [True, False]
        assert "hush" not in "".join(well + ill)

    def test_a_library_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "redis", None)
        for name in [name for name in sys.modules if name.startswith("backend.rollout.stores.redis_")]:
            monkeypatch.delitem(sys.modules, name)
        with pytest.raises(BadSetting, match=r"pip install 'crossfade\[fleet\]'"):
            open_store("redis://localhost")

    def test_removed_pictures_leave_its_files_too(self, tmp_path: Path) -> None:
        folder = tmp_path / "kept"
        with running_redis(folder, "--appendonly", "yes", "--save", "3600", "1") as server:
            store = open_store(server.url)
            picture = b"a face at the gate" * 50
            store.add_sample(sample("a"), picture, SampleLimits(9, 10_000, 1e6))
            store.add_sample(sample("b", camera="yard"), b"a tree" * 50, SampleLimits(9, 10_000, 1e6))
            server.client().save()
            assert is_in_files(folder, b"a face")
            assert store.remove_samples("gate") == 1
            deadline = time.monotonic() + 30
            while is_in_files(folder, b"a face"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert is_in_files(folder, b"a tree")
            store.close()


def sample(name: str, camera: str = "gate") -> Sample:
    return Sample(name, time.time(), "yolo26", camera, "", "day", "1", ("missed",), ("person",), (), (), 9, 9)


def is_in_files(folder: Path, words: bytes) -> bool:
    return any(words in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def tried(store: Store) -> str:
    try:
        store.read()
    except StoreAway as error:
        return str(error)
    return ""
