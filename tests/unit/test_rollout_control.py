"""Several workers on one store, in one process: who wins, what is refused, what survives."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import stat
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from ai.core.errors import BadSetting
from backend.observe.events import FlagsChanged, FlagsSeen
from backend.rollout.control import InvalidState, LostUpdate, NotPossible, Rollout, StoreAway
from backend.rollout.crew import Crew, Worker
from backend.rollout.journal import Journal
from backend.rollout.quota import Traffic
from backend.rollout.state import RolloutState
from backend.rollout.store import Beat, Change
from backend.rollout.stores.memory_store import MemoryStore
from backend.rollout.stores.sqlite_store import SqliteStore
from tests.rollout_house import House, until

pytestmark = pytest.mark.usefixtures("nothing_said_of_flags")


async def set_to(rollout: Rollout, **patch: Any) -> RolloutState:
    return await rollout.change(patch, who="anna", reason="a try", version=None)


def fraction_of(*workers: Rollout) -> list[float | None]:
    return [worker.flags.view.state.fraction if worker.flags.view.state else None for worker in workers]


def reason_of(rollout: Rollout) -> str:
    return rollout.flags.decide("rtdetr", None, "1").reason


async def refused(attempt: Awaitable[Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await attempt


class TestFirstStart:
    async def test_the_environment_says_where_it_begins(self, house: House) -> None:
        rollout = await house.start()
        state = await rollout.read()
        assert (state.version, state.enabled, state.fraction, state.shadow) == (1, True, 0.1, 0.0)
        assert house.who() == ["environment"]

    async def test_workers_that_start_at_once_make_one_state(self, house: House) -> None:
        workers = [house.worker(str(n)) for n in range(5)]
        await asyncio.gather(*(worker.start() for worker in workers))
        assert fraction_of(*workers) == [0.1] * 5
        assert house.who() == ["environment"]

    async def test_without_a_word_everything_stays_on_legacy(self, house: House) -> None:
        house.env.unlink()
        rollout = await house.start()
        assert (await rollout.read()).fraction == 0.0
        assert (reason_of(rollout), rollout.flags.triton_on) == ("KILL_SWITCH", False)

    async def test_only_this_user_can_read_what_is_kept(self, house: House) -> None:
        await house.start()
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in house.var.rglob("*") if path.is_file()
        }
        assert set(modes.values()) == {0o600}, modes

    async def test_every_new_view_is_told_once(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5, overrides={"mine": 0.7})
        await asyncio.sleep(0.1)  # several looks
        seen = [event for event in house.events if isinstance(event, FlagsSeen)]
        assert [(event.version, event.enabled, event.stale) for event in seen] == [
            (1, True, False),
            (2, True, False),
        ]
        assert seen[-1].asked == seen[-1].effective == {"mine": 0.7, "rtdetr": 0.5, "yolo26": 0.5}

    async def test_a_change_is_counted_by_the_worker_that_makes_it_and_by_no_other(
        self, house: House
    ) -> None:
        one, two = await house.start("a"), await house.start("b")
        await set_to(one, fraction=0.5)
        await one.rollback(who="anna", reason="enough")
        await until(lambda: fraction_of(one, two) == [0.0, 0.0])
        house.say(0.7)
        await until(lambda: fraction_of(one, two) == [0.7, 0.7])
        assert kinds(house) == ["hand", "rollback", "environment"]

    async def test_a_change_that_was_refused_is_none(self, house: House) -> None:
        rollout = await house.start()
        with pytest.raises(LostUpdate):
            await rollout.change({"fraction": 0.5}, who="anna", reason="", version=99)
        house.say(0.1, enabled="false")  # the kill switch changes nothing that is kept
        await until(lambda: not rollout.flags.triton_on)
        assert kinds(house) == []

    async def test_a_rollback_without_the_store_is_one_where_it_is_obeyed(self, house: House) -> None:
        rollout = await house.start()
        house.break_store()
        with pytest.raises(StoreAway):
            await rollout.rollback(who="anna", reason="enough")
        assert (kinds(house), rollout.flags.effective_fraction("yolo26")) == (["rollback"], 0.0)


def kinds(house: House) -> list[str]:
    return [event.kind for event in house.events if isinstance(event, FlagsChanged)]


class TestChange:
    async def test_every_worker_obeys_it(self, house: House) -> None:
        one, two = await house.start("a"), await house.start("b")
        assert (await set_to(one, fraction=0.5)).version == 2
        await until(lambda: fraction_of(one, two) == [0.5, 0.5])

    async def test_of_two_that_saw_the_same_one_is_told(self, house: House) -> None:
        one, two = await house.start("a"), await house.start("b")
        await one.change({"fraction": 0.5}, who="anna", reason="", version=1)
        with pytest.raises(LostUpdate) as lost:
            await two.change({"fraction": 0.9}, who="otto", reason="", version=1)
        assert (lost.value.current.version, lost.value.current.fraction) == (2, 0.5)

    async def test_changes_of_many_at_once_are_all_kept(self, house: House) -> None:
        workers = [await house.start(str(n)) for n in range(3)]
        await asyncio.gather(
            *(set_to(worker, pins={"gate": "legacy"}) for worker in workers for _ in range(5))
        )
        history = await workers[0].history(100)
        assert [change.version for change in history] == list(range(16, 0, -1))
        assert all(newer.before == older.after for newer, older in itertools.pairwise(history))

    @pytest.mark.parametrize(
        "patch", [{"fraction": 2}, {"version": 7}, {"colour": 1}, {"pins": {"a": "gpu"}}]
    )
    async def test_what_cannot_be_obeyed_is_refused_and_changes_nothing(
        self, house: House, patch: Any
    ) -> None:
        rollout = await house.start()
        await refused(
            rollout.change(patch, who="anna", reason="", version=None), InvalidState, next(iter(patch))
        )
        assert house.who() == ["environment"]

    async def test_any_words_can_be_kept(self, house: House) -> None:
        rollout = await house.start()
        await rollout.change({"fraction": 1}, who="\ud800", reason="x" * 100_000, version=None)
        newest = (await rollout.history(1))[0]
        assert (newest.who, len(newest.reason)) == ("?", 500)


class TestEnvironment:
    async def test_nothing_set_by_hand_is_overruled_by_an_old_file(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        await house.stop(rollout)
        again = await house.start()
        assert fraction_of(again) == [0.5]
        house.env.write_text("# a comment\n" + house.env.read_text())
        await asyncio.sleep(0.1)
        assert fraction_of(again) == [0.5]
        house.say(0.2)
        await until(lambda: fraction_of(again) == [0.2])
        assert house.who() == ["environment", "anna", "environment"]

    async def test_a_new_value_of_several_workers_is_one_change(self, house: House) -> None:
        workers = [await house.start(str(n)) for n in range(4)]
        house.say(0.3)
        await until(lambda: fraction_of(*workers) == [0.3] * 4)
        await asyncio.sleep(0.1)
        assert house.who() == ["environment", "environment"]

    async def test_a_worker_that_looks_late_does_not_bring_an_older_value_back(self, house: House) -> None:
        quick = await house.start("a")
        slow = await house.start("b", rollout_env_poll_s=0.3)
        house.say(0.3)
        await until(lambda: fraction_of(quick) == [0.3])
        house.say(0.3, "false")  # the slow one obeys this at its first look, and has not seen 0.3 twice yet
        await until(lambda: reason_of(slow) == "KILL_SWITCH")
        await asyncio.sleep(0.1)
        assert house.who() == ["environment", "environment"]

    async def test_what_was_edited_while_nobody_ran_is_obeyed_at_the_start(self, house: House) -> None:
        await house.stop(await house.start())
        house.say(0.2)
        assert fraction_of(await house.start()) == [0.2]

    async def test_taking_a_value_away_and_putting_it_back_changes_nothing(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        for fraction in (None, 0.1):
            house.say(fraction)
            await asyncio.sleep(0.1)
        assert fraction_of(rollout) == [0.5]

    async def test_a_replica_that_joins_overrules_nobody(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        (house.var / "run" / "rollout-environment.json").unlink()
        await house.start("b")
        assert fraction_of(rollout) == [0.5]

    async def test_the_kill_switch_is_no_change_and_leaves_the_state_as_it_was(self, house: House) -> None:
        rollout = await house.start()
        for enabled, reason in (("false", "KILL_SWITCH"), ("true", "FRACTION")):
            house.say(0.1, enabled)
            await until(lambda reason=reason: reason_of(rollout) == reason)  # type: ignore[misc]
        assert house.who() == ["environment"]

    async def test_a_change_waits_for_a_store_that_is_away(self, house: House) -> None:
        rollout = await house.start()
        house.break_store()
        await until(lambda: rollout.stale)
        house.say(0.3)
        await asyncio.sleep(0.1)
        assert fraction_of(rollout) == [0.1]
        house.mend_store()
        await until(lambda: fraction_of(rollout) == [0.3])


class TestStoreLost:
    async def test_a_deleted_store_is_filled_from_what_the_workers_know(self, house: House) -> None:
        one, two = await house.start("a"), await house.start("b")
        await set_to(one, fraction=0.5, pins={"gate": "triton"})
        await until(lambda: fraction_of(two) == [0.5])
        house.db.unlink()
        await until(house.db.exists)
        assert (await two.read()).pins == {"gate": "triton"}
        assert [worker.flags.view.state.version for worker in (one, two) if worker.flags.view.state] == [2, 2]

    async def test_a_store_that_was_deleted_while_nobody_ran_is_filled_from_the_journal(
        self, house: House
    ) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        await rollout.rollback(who="anna", reason="")
        await house.stop(rollout)
        for path in house.var.glob("crossfade.db*"):
            path.unlink()
        again = await house.start()
        assert ((await again.read()).version, fraction_of(again)) == (3, [0.0])

    async def test_rows_that_were_deleted_come_back(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        with sqlite3.connect(house.db) as db:
            db.execute("DELETE FROM changes")
        db.close()
        await until(lambda: house.who() == ["anna"])
        assert fraction_of(rollout) == [0.5]

    @pytest.mark.parametrize("running", [True, False])
    async def test_an_older_copy_of_the_store_undoes_nothing(self, house: House, running: bool) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        await house.stop(rollout)
        copy = house.db.read_bytes()
        rollout = await house.start()
        await rollout.rollback(who="anna", reason="")
        if not running:
            await house.stop(rollout)
        for path in house.var.glob("crossfade.db-*"):
            path.unlink()
        (house.var / "older").write_bytes(copy)
        (house.var / "older").replace(house.db)
        rollout = rollout if running else await house.start()
        await until(lambda: house.who() == ["environment", "anna", "anna"])
        assert fraction_of(rollout) == [0.0]

    async def test_a_store_that_cannot_be_read_leaves_the_last_state_in_force(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=1.0)
        house.break_store()
        await until(lambda: rollout.stale)
        decision = rollout.flags.decide("rtdetr", None, "1")
        assert (decision.backend, decision.reason) == ("triton", "STALE")
        assert (await rollout.read()).fraction == 1.0
        await refused(set_to(rollout, fraction=0.2), StoreAway, "cannot be used")
        house.mend_store()
        await until(lambda: not rollout.stale)
        assert reason_of(rollout) == "FRACTION"

    async def test_a_start_beside_a_broken_store_goes_by_the_journal(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=1.0)
        await house.stop(rollout)
        house.break_store()
        again = await house.start()
        assert (reason_of(again), fraction_of(again)) == ("STALE", [1.0])

    async def test_a_cold_start_beside_a_broken_store_serves_by_legacy_and_goes_on_trying(
        self, house: House
    ) -> None:
        house.var.mkdir()
        house.break_store()
        rollout = await house.start()
        assert (reason_of(rollout), rollout.flags.triton_on) == ("COLD_START", False)
        await refused(rollout.read(), StoreAway, "never read")
        house.mend_store()
        await until(lambda: fraction_of(rollout) == [0.1])

    async def test_a_cold_start_without_legacy_asks_for_what_it_does(self, house: House) -> None:
        house.var.mkdir()
        house.break_store()
        await house.start(legacy_enabled=False)
        [seen] = [event for event in house.events if isinstance(event, FlagsSeen)]
        assert (seen.version, seen.asked) == (0, {"rtdetr": 1.0, "yolo26": 1.0})
        assert seen.asked == seen.effective

    async def test_a_state_that_nobody_can_obey_is_not_obeyed(self, house: House) -> None:
        rollout = await house.start()
        with sqlite3.connect(house.db) as db:
            table = json.dumps(RolloutState(version=9).to_table() | {"fraction": 7})
            db.execute("INSERT INTO changes VALUES (9, 1.0, 'x', 'y', NULL, ?)", (table,))
        db.close()
        await until(lambda: rollout.stale)
        assert fraction_of(rollout) == [0.1]

    async def test_a_store_of_a_newer_crossfade_is_left_alone(self, house: House) -> None:
        rollout = await house.start()
        await house.stop(rollout)
        with sqlite3.connect(house.db) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        again = await house.start()
        assert (again.stale, fraction_of(again)) == (True, [0.1])


class TestMoving:
    async def test_into_an_empty_store_the_state_comes_along(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=0.5)
        await rollout.rollback(who="anna", reason="")
        await house.stop(rollout)
        house.store_url = f"sqlite:///{house.var}/moved.db"
        assert ((await (await house.start()).read()).version, house.who()) == (3, ["anna"])

    async def test_in_a_store_with_content_that_one_counts(self, house: House) -> None:
        for name, fractions in (("first", [0.5, 0.6, 0.7]), ("second", [0.2])):
            house.store_url = f"sqlite:///{house.var}/{name}.db"
            if name == "second":
                (house.var / "rollout-history.jsonl").rename(house.var / "aside")
            rollout = await house.start()
            for fraction in fractions:
                await set_to(rollout, fraction=fraction)
            await house.stop(rollout)
        (house.var / "aside").rename(house.var / "rollout-history.jsonl")
        assert fraction_of(await house.start()) == [0.2]
        house.db = house.var / "second.db"
        assert house.who() == ["environment", "anna"]

    async def test_lines_of_before_stores_had_names_are_of_the_one_that_is_used(self, house: House) -> None:
        rollout = await house.start()
        await rollout.rollback(who="anna", reason="")
        await house.stop(rollout)
        journal = house.var / "rollout-history.jsonl"
        tables = [json.loads(line) for line in journal.read_text().splitlines()]
        assert {table.pop("store") for table in tables} == {f"sqlite:///{house.db.resolve()}"}
        journal.write_text("".join(json.dumps(table) + "\n" for table in tables))
        for path in house.var.glob("crossfade.db*"):
            path.unlink()
        assert fraction_of(await house.start()) == [0.0]


class TestRollback:
    async def test_it_is_confirmed_by_every_live_worker(self, house: House) -> None:
        workers = [await house.start(name) for name in "abc"]
        await set_to(workers[0], fraction=1.0, overrides={"rtdetr": 1.0}, pins={"gate": "triton"})
        await until(
            lambda: all(worker.flags.view.state.version == 2 for worker in workers if worker.flags.view.state)
        )
        decided = [worker.flags.decide("rtdetr", "gate", "1") for worker in workers]
        assert {decision.backend for decision in decided} == {"triton"}
        done = await workers[1].rollback(who="anna", reason="it looks odd")
        assert done.pending == ()
        for worker, decision in zip(workers, decided, strict=True):
            assert not worker.flags.still(decision, "rtdetr", "gate", "1")
            assert worker.flags.decide("rtdetr", "gate", "1").backend == "legacy"
        assert sorted((beat.worker, beat.version) for beat in workers[1].workers()) == [(n, 3) for n in "abc"]

    async def test_a_worker_that_does_not_confirm_is_named(self, house: House) -> None:
        rollout = await house.start(rollout_ack_s=0.1)
        ghost = SqliteStore(house.db)
        ghost.beat(Beat("ghost", 4e9, 1))
        assert (await rollout.rollback(who="anna", reason="")).pending == ("ghost",)
        ghost.beat(Beat("ghost", 1.0, 1))  # long dead
        ghost.close()
        assert (await rollout.rollback(who="anna", reason="")).pending == ()

    def test_a_dead_one_is_not_waited_for_because_the_clock_was_set_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that lives is: its beat of before the change counts as long as any other."""
        clock, ticks = [10_000.0], [0.0]
        monkeypatch.setattr("backend.rollout.crew.time.monotonic", lambda: ticks[0])
        store = MemoryStore(lambda: clock[0])
        crew = Crew(store, Worker("here", 1.0, "request", True), Traffic(10))
        store.beat(Beat("there", store.now(), 1))
        clock[0] -= 3600
        crew.confirm(1, {})
        ticks[0] += 2.9
        crew.confirm(2, {})
        assert crew.unconfirmed(2) == ("there",)
        ticks[0] += 0.2
        assert crew.unconfirmed(2) == ()
        store.beat(Beat("there", store.now(), 1))
        assert crew.unconfirmed(2) == ("there",)

    async def test_a_worker_that_left_is_not_waited_for(self, house: House) -> None:
        one, two = [await house.start(name, rollout_heartbeat_s=1.0) for name in "ab"]
        await house.stop(two)
        assert (await one.rollback(who="anna", reason="")).pending == ()

    async def test_whoever_is_left_is_looked_for_when_all_the_time_has_passed(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A look that began in time and ended late says nothing of those who confirmed meanwhile."""
        rollout = await house.start(rollout_ack_s=0.02)
        looks = iter([("late",), ()])

        def slow_look(crew: Crew, version: int) -> tuple[str, ...]:
            time.sleep(0.1)
            return next(looks)

        monkeypatch.setattr(Crew, "unconfirmed", slow_look)
        assert (await rollout.rollback(who="anna", reason="")).pending == ()

    async def test_after_the_store_was_lost_nobody_is_taken_for_gone(self, house: House) -> None:
        """Whoever rolls back makes the store anew, and finds nobody in it."""
        one = await house.start("a", rollout_heartbeat_s=0.5)
        await set_to(one, fraction=1.0)
        two = await house.start("b", rollout_heartbeat_s=0.5, rollout_poll_s=0.4)
        house.db.unlink()
        done = await one.rollback(who="anna", reason="")
        assert (done.pending, fraction_of(two)) == ((), [0.0])

    async def test_it_needs_no_version_and_wins_against_others_changes(self, house: House) -> None:
        one, two = await house.start("a"), await house.start("b")
        changes = [set_to(two, shadow=n / 100) for n in range(20)]
        await asyncio.gather(one.rollback(who="otto", reason=""), *changes)
        assert fraction_of(one) == [0.0]
        assert "otto" in house.who()

    async def test_without_the_store_it_holds_here_and_follows_into_the_store(self, house: House) -> None:
        one, two = await house.start("a"), await house.start("b")
        await set_to(one, fraction=1.0)
        await until(lambda: fraction_of(two) == [1.0])
        house.break_store()
        await refused(one.rollback(who="anna", reason="it looks odd"), StoreAway, "TRITON_ENABLED=false")
        assert one.flags.decide("rtdetr", None, "1").backend == "legacy"
        await until(lambda: fraction_of(two) == [0.0])  # by the journal
        house.mend_store()
        await until(lambda: not one.stale and not two.stale)
        assert house.who() == ["anna"]
        assert (await one.history(1))[0].reason == "it looks odd"
        assert fraction_of(one, two) == [0.0, 0.0]

    async def test_without_the_store_it_survives_a_restart(self, house: House) -> None:
        rollout = await house.start()
        await set_to(rollout, fraction=1.0)
        house.break_store()
        await refused(rollout.rollback(who="anna", reason=""), StoreAway, "is away|cannot be used")
        await house.stop(rollout)
        house.mend_store()
        assert fraction_of(await house.start()) == [0.0]

    async def test_a_rollback_the_store_did_not_hear_of_is_made_up_for(self, house: House) -> None:
        """The store moved on without us; what was done there before our rollback does not stand against it."""
        rollout = await house.start()
        with sqlite3.connect(house.db, isolation_level=None) as db:
            db.execute("BEGIN IMMEDIATE")
            await refused(rollout.rollback(who="anna", reason=""), StoreAway, "locked")
            for version in (2, 3):
                state = RolloutState(version=version, fraction=0.9)
                db.execute(
                    "INSERT INTO changes VALUES (?, 1.0, 'x', 'y', NULL, ?)", (version, state.to_json())
                )
            db.execute("COMMIT")
        db.close()
        await until(lambda: house.who() == ["environment", "x", "x", "anna"])
        assert fraction_of(rollout) == [0.0]

    async def test_a_later_change_by_somebody_else_stands(self, house: House) -> None:
        rollout = await house.start()
        with sqlite3.connect(house.db, isolation_level=None) as db:
            db.execute("BEGIN IMMEDIATE")
            await refused(rollout.rollback(who="anna", reason=""), StoreAway, "locked")
            state = RolloutState(version=2, fraction=0.9)
            db.execute("INSERT INTO changes VALUES (2, 4e9, 'x', 'y', NULL, ?)", (state.to_json(),))
            db.execute("COMMIT")
        db.close()
        await until(lambda: fraction_of(rollout) == [0.9])


class TestLegacyOff:
    @pytest.fixture
    def off(self, house: House) -> dict[str, Any]:
        house.say(1.0)
        return {"legacy_enabled": False}

    @pytest.mark.parametrize(("patch", "words"), [
        ({"fraction": 0.9}, "10% of the requests to nobody: fraction is 0.9"),
        ({"overrides": {"rtdetr": 0.5}}, "override of rtdetr"),
        ({"pins": {"gate": "legacy"}}, "'gate' cannot be pinned to legacy"),
    ])  # fmt: skip
    async def test_no_change_leaves_requests_to_nobody(
        self, house: House, off: dict[str, Any], patch: dict[str, Any], words: str
    ) -> None:
        rollout = await house.start(**off)
        await refused(set_to(rollout, **patch), NotPossible, words)
        assert (await set_to(rollout, shadow=0.5, pins={"gate": "triton"})).version == 2

    async def test_there_is_nothing_to_roll_back_to(self, house: House, off: dict[str, Any]) -> None:
        rollout = await house.start(**off)
        await refused(rollout.rollback(who="anna", reason=""), NotPossible, "LEGACY_ENABLED=false")

    async def test_a_state_that_needs_legacy_stops_the_start(self, house: House) -> None:
        await house.stop(await house.start())
        await refused(house.worker(legacy_enabled=False).start(), BadSetting, "90% of the requests to nobody")

    async def test_and_no_new_word_of_the_environment_makes_up_for_it(self, house: House) -> None:
        house.say(0.0)
        await house.stop(await house.start())
        house.say(1.0)  # as an override for the end of the migration has to
        await refused(
            house.worker(legacy_enabled=False).start(), BadSetting, "100% of the requests to nobody"
        )
        house.say(0.0)
        assert fraction_of(await house.start()) == [0.0]
        assert house.who() == ["environment"]

    async def test_neither_there_nor_on_the_way_back_is_it_a_change(self, house: House) -> None:
        house.say(0.0)
        rollout = await house.start()
        await set_to(rollout, fraction=1.0)
        await house.stop(rollout)
        house.say(1.0)
        retired = await house.start(legacy_enabled=False)
        assert fraction_of(retired) == [1.0]
        await house.stop(retired)
        house.say(0.0)  # the override is dropped
        assert fraction_of(await house.start()) == [1.0]
        assert house.who() == ["environment", "anna"]

    async def test_a_thrown_kill_switch_never_stops_a_start(self, house: House) -> None:
        await house.stop(await house.start())
        house.say(0.1, "false")
        assert reason_of(await house.start(legacy_enabled=False)) == "KILL_SWITCH"

    async def test_lifting_it_then_gives_triton_no_more_than_it_had(self, house: House) -> None:
        await house.stop(await house.start())
        house.say(1.0, "false")
        rollout = await house.start(legacy_enabled=False)
        house.say(1.0)
        await until(lambda: rollout.flags.triton_on)
        await asyncio.sleep(0.1)
        assert fraction_of(rollout) == [0.1]
        assert (await set_to(rollout, fraction=1.0)).fraction == 1.0  # a person may

    async def test_a_first_start_beside_a_broken_store_means_triton_too(self, house: House) -> None:
        house.var.mkdir()
        house.break_store()
        rollout = await house.start(legacy_enabled=False)
        assert rollout.flags.effective_fraction("rtdetr") == 1.0

    async def test_a_first_start_without_a_word_means_triton(self, house: House) -> None:
        house.say(None)
        assert fraction_of(await house.start(legacy_enabled=False)) == [1.0]

    async def test_an_env_file_that_needs_legacy_is_not_obeyed(
        self, house: House, off: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        rollout = await house.start(**off)
        house.say(0.5)
        await until(lambda: "TRITON_TRAFFIC_FRACTION=0.5 changes nothing" in caplog.text)
        assert fraction_of(rollout) == [1.0]
        assert house.who() == ["environment"]


class TestCameraQuota:
    async def test_one_worker_publishes_what_all_have_counted(self, house: House) -> None:
        house.say(0.5)
        some = {"rollout_key": "camera-quota", "quota_window_s": 1.0}
        workers = [await house.start(name, **some) for name in "ab"]
        before = [worker.flags.decide("rtdetr", "camera 1", "1").reason for worker in workers]
        turn = itertools.cycle(range(20))

        def all_are_asked_and_half_is_tritons() -> bool:
            for camera in itertools.islice(turn, 40):
                workers[camera % 2].traffic.seen("rtdetr", f"camera {camera}")
            sides = [
                [w.flags.decide("rtdetr", f"camera {n}", "1").backend for n in range(20)] for w in workers
            ]
            return sides[0] == sides[1] and sides[0].count("triton") in {9, 10}

        await until(all_are_asked_and_half_is_tritons)
        assert before == ["QUOTA", "QUOTA"]

    async def test_whoever_does_not_lead_publishes_none(self, house: House) -> None:
        house.say(0.5)
        store = SqliteStore(house.db)
        store.lead("another", 3600)
        rollout = await house.start(rollout_key="camera-quota", quota_window_s=0.02)

        def all_cameras_are_seen() -> None:
            for camera in range(20):
                rollout.traffic.seen("rtdetr", f"camera {camera}")

        beats = {beat.at for beat in rollout.workers()}
        while len(beats) < 4:  # heartbeats, at each of which the leader would publish
            all_cameras_are_seen()
            beats |= {beat.at for beat in rollout.workers()}
            await asyncio.sleep(0.005)
        assert dict(store.read().quotas) == {}
        store.resign("another")

        def there_is_a_list() -> bool:
            all_cameras_are_seen()
            return bool(store.read().quotas)

        await until(there_is_a_list)
        store.close()


class TestLife:
    async def test_a_worker_that_stops_leaves_nothing_behind(self, house: House) -> None:
        before = asyncio.all_tasks()
        rollout = await house.start()
        await house.stop(rollout)
        assert asyncio.all_tasks() == before
        store = SqliteStore(house.db)
        assert store.beats() == ()
        store.close()

    async def test_a_journal_that_cannot_be_written_stops_nobody(self, house: House) -> None:
        (house.var / "rollout-history.jsonl").mkdir(parents=True)
        rollout = await house.start()
        assert (await set_to(rollout, fraction=0.5)).version == 2
        assert (await rollout.rollback(who="anna", reason="")).pending == ()

    async def test_the_memory_store_does_for_one_process(self, house: House) -> None:
        rollout = await house.start(rollout_store="memory:")
        await set_to(rollout, fraction=0.5)
        assert (await rollout.rollback(who="anna", reason="")).pending == ()
        assert not house.db.exists()
        newest = Journal(house.var / "rollout-history.jsonl").newest()
        assert isinstance(newest, Change)
        assert newest.version == 3
