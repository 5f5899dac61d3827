"""Who leads a ramp and how it moves: several workers on one store, and leaders that die at every point of a step."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend.observe.events import (
    DisagreementMeasured,
    FlagsChanged,
    RampRolledBack,
    RampStands,
    RampStepped,
    RampWaits,
)
from backend.ramp.looks import Look, look_record
from backend.rollout.ramps import book_of
from backend.rollout.stores.memory_store import MemoryStore
from tests.ramp_house import BROKEN, CLEAN, LEGACY, Crashing, Crew, Died, RampHouse
from tests.rollout_house import until

FEW = CLEAN | {"disagreement.0": 50}
FRACTIONS = [0.1, 0.25, 0.5, 0.75, 0.98, 1.0]


@pytest.fixture
async def house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_said_of_flags: None
) -> AsyncIterator[RampHouse]:
    made = RampHouse(tmp_path, monkeypatch)
    yield made
    await made.close()


def look_of(house: RampHouse, detector: str = "yolo26") -> Look:
    text = house.store.record(look_record(detector))
    assert text is not None
    return Look.from_table(json.loads(text))


def waiting(house: RampHouse) -> bool:
    """Whether the ramp was last told to wait for a person."""
    return [event.for_a_person for event in house.events if isinstance(event, RampWaits)][-1]


def rolled_back(house: RampHouse) -> list[bool]:
    return [event.rolled_back for event in house.events if isinstance(event, RampStands)]


def disagreement(house: RampHouse) -> float | None:
    return [event.ratio for event in house.events if isinstance(event, DisagreementMeasured)][-1]


class TestOneLeader:
    async def test_a_healthy_triton_is_given_everything_step_by_step(self, house: RampHouse) -> None:
        crew = await house.measured()
        fractions = [crew.state.fraction_of("yolo26")]
        while crew.ramp().phase == "running":
            house.add(crew, CLEAN)
            await crew.look()
            fractions.append(crew.state.fraction_of("yolo26"))
        assert fractions == FRACTIONS
        assert crew.ramp().phase == "watching"

    async def test_every_step_is_in_the_history_with_its_figures(self, house: RampHouse) -> None:
        crew = await house.measured()
        house.add(crew, CLEAN)
        await crew.look()
        change = (await crew.rollout.history())[0]
        assert (change.who, change.reason) == ("ramp", "promoted from 10 % to 25 %")
        assert change.figures is not None
        answered = {one["question"]: one["same"] for one in change.figures["answers"]}
        assert (answered["disagreement"], answered["errors"]) == (3000, 9000)

    async def test_no_sample_no_step(self, house: RampHouse) -> None:
        crew = await house.measured()
        await crew.look(5)
        assert crew.state.fraction_of("yolo26") == 0.1
        assert "disagreement: no samples yet" in look_of(house).waits_for

    async def test_a_fault_rolls_its_detector_back_and_no_other(self, house: RampHouse) -> None:
        crew = await house.measured()
        await crew.start("rtdetr")
        house.add(crew, LEGACY, detector="rtdetr")
        await crew.look()
        house.add(crew, BROKEN)
        await crew.look()
        state = crew.state
        assert (state.fraction_of("yolo26"), state.fraction_of("rtdetr")) == (0.0, 0.1)
        assert (state.ramps["yolo26"].phase, state.ramps["rtdetr"].phase) == ("ended", "running")
        assert state.ramps["yolo26"].ended == "rolled back: errors: unavailable 80 %"
        assert (await crew.rollout.history())[0].figures is not None

    async def test_a_rollback_moves_no_pinned_camera_of_another_detector(self, house: RampHouse) -> None:
        crew = await house.worker()
        await put(crew, pins={"gate": "triton"})
        await crew.start(None)
        house.add(crew, LEGACY)
        await crew.look()
        assert sides(crew) == {"rtdetr": "triton", "yolo26": "triton"}
        house.add(crew, BROKEN)
        await crew.look()
        assert sides(crew) == {"rtdetr": "triton", "yolo26": "legacy"}
        assert (crew.ramp("rtdetr").tries, crew.ramp("rtdetr").paused) == (1, "")
        await crew.start()
        assert sides(crew)["yolo26"] == "legacy", "a new ramp moves nothing before its first step"
        house.add(crew, LEGACY)
        await crew.look()
        assert (crew.state.fraction_of("yolo26"), sides(crew)["yolo26"]) == (0.1, "triton")

    async def test_the_pins_of_a_detector_that_was_rolled_back_can_be_given_back(
        self, house: RampHouse
    ) -> None:
        crew = await house.measured()
        await put(crew, pins={"gate": "triton"})
        house.add(crew, BROKEN)
        await crew.look()
        assert sides(crew)["yolo26"] == "legacy"
        await put(crew, pins_suspended=False)
        assert sides(crew)["yolo26"] == "triton"

    async def test_the_common_fraction_at_0_takes_tritons_share_back_and_resume_gives_it_again(
        self, house: RampHouse
    ) -> None:
        crew = await house.measured()
        await put(crew, fraction=0.0)  # as it was
        assert crew.rollout.flags.effective_fraction("yolo26") == 0.0
        assert crew.ramp().paused == "ben changed the flags by hand"
        await crew.orders.resume("yolo26", who="anna", reason="done")
        assert (crew.state.fraction_of("yolo26"), crew.ramp().paused, crew.ramp().tries) == (0.1, "", 4)

    async def test_what_the_environment_says_of_the_common_fraction_counts_as_much(
        self, house: RampHouse
    ) -> None:
        house.say(enabled=True, fraction=0.05)
        crew = await house.measured()
        assert crew.state.fraction_of("yolo26") == 0.1
        house.say(enabled=True, fraction=0.02)
        await until(lambda: bool(crew.ramp().paused))
        assert crew.ramp().paused == "environment changed the flags by hand"
        assert crew.rollout.flags.effective_fraction("yolo26") == 0.02

    async def test_the_kill_switch_ends_the_ramp_and_gives_nothing_back_when_lifted(
        self, house: RampHouse
    ) -> None:
        crew = await house.measured()
        house.say(enabled=False)
        await switched(crew, killed=True)
        await crew.look()
        assert (crew.ramp().phase, crew.ramp().ended) == ("ended", "TRITON_ENABLED=false")
        house.say(enabled=True)
        await switched(crew, killed=False)
        assert crew.state.fraction_of("yolo26") == 0.0

    async def test_a_change_by_hand_pauses_it_and_resume_sets_its_fraction_again(
        self, house: RampHouse
    ) -> None:
        crew = await house.measured()
        await crew.rollout.change({"overrides": {"yolo26": 0.4}}, who="ben", reason="a try", version=None)
        house.add(crew, CLEAN)
        await crew.look()
        assert crew.state.fraction_of("yolo26") == 0.4
        assert look_of(house).waits_for == ("paused: ben changed the flags by hand",)
        await crew.orders.resume("yolo26", who="anna", reason="done")
        assert (crew.state.fraction_of("yolo26"), crew.ramp().paused) == (0.1, "")
        await crew.look()
        assert "disagreement: no samples yet" in look_of(house).waits_for

    async def test_metrics_are_told_of_the_step_and_of_the_disagreement(self, house: RampHouse) -> None:
        crew = await house.measured()
        house.add(crew, {"compared.same": 9, "compared.different": 1})
        await crew.look()
        assert [event.step for event in house.events if isinstance(event, RampStepped)] == [-1, 0]
        ratios = [event.ratio for event in house.events if isinstance(event, DisagreementMeasured)]
        assert ratios[-1] == pytest.approx(0.1)

    async def test_metrics_are_told_where_it_stands_and_that_it_is_over(self, house: RampHouse) -> None:
        crew = await house.measured()
        house.add(crew, CLEAN)
        await crew.look()
        reached_at = crew.ramp().step_at
        await crew.orders.abort("yolo26", who="anna", reason="enough")
        await crew.look()
        told = [(event.running, event.step_at) for event in house.events if isinstance(event, RampStands)]
        assert told[-2:] == [(True, reached_at), (False, reached_at)]
        assert [at for _, at in told] == sorted(at for _, at in told)

    async def test_one_that_only_watches_is_not_on_its_way_any_more(self, house: RampHouse) -> None:
        crew = await house.measured(ramp_steps=(1.0,))
        house.add(crew, CLEAN)
        await crew.look(2)
        assert crew.ramp().phase == "watching"
        assert [event.running for event in house.events if isinstance(event, RampStands)][-1] is False

    async def test_a_rollback_by_evidence_is_counted_once_and_no_promotion_is_one(
        self, house: RampHouse
    ) -> None:
        crew = await house.measured()
        house.add(crew, CLEAN)
        await crew.look()
        house.add(crew, BROKEN)
        await crew.look(3)
        assert [event.detector for event in house.events if isinstance(event, RampRolledBack)] == ["yolo26"]
        kinds = [event.kind for event in house.events if isinstance(event, FlagsChanged)]
        assert kinds == ["hand", "ramp", "ramp", "rollback"], "started, measured, promoted, rolled back"

    async def test_that_a_ramp_rolled_back_is_told_by_all_until_another_one_starts(
        self, house: RampHouse
    ) -> None:
        crew, beside = await house.measured(), await house.worker("b")
        await beside.look()
        house.events.clear()
        house.add(crew, BROKEN)
        await crew.look()
        assert rolled_back(house) == [True]
        await beside.look()
        assert rolled_back(house) == [True, True], "the one that did not lead says it as well"
        await crew.start()
        await crew.look()
        await crew.orders.abort("yolo26", who="anna", reason="on second thoughts")
        await crew.look()
        assert rolled_back(house)[2:] == [False, False], "what pins wait for is inherited; a rollback is not"

    async def test_that_a_ramp_rolled_back_is_over_with_a_share_by_hand(self, house: RampHouse) -> None:
        crew = await house.measured()
        house.add(crew, BROKEN)
        await crew.look(2)
        assert rolled_back(house)[-1] is True
        await crew.rollout.change({"overrides": {"yolo26": 0.2}}, who="anna", reason="mended", version=None)
        await crew.look()
        assert rolled_back(house)[-1] is False

    async def test_a_persons_rollback_is_not_the_ramps(self, house: RampHouse) -> None:
        crew = await house.measured()
        await crew.rollout.rollback(who="anna", reason="to be sure")
        await crew.look()
        assert not crew.ramp().is_on
        assert not any(rolled_back(house))

    async def test_a_dry_run_is_not_on_its_way(self, house: RampHouse) -> None:
        crew = await house.worker()
        await crew.start(dry_run=True)
        await crew.look()
        assert [event.running for event in house.events if isinstance(event, RampStands)] == [False]

    async def test_a_ramp_that_left_the_state_does_not_stand_for_ever(self, house: RampHouse) -> None:
        crew = await house.measured()
        telling, told = crew.pilot._telling, len(house.events)
        telling.stands(replace(crew.state, ramps={}))
        telling.stands(replace(crew.state, ramps={}))
        assert house.events[told:] == [
            RampStepped("yolo26", -1),
            RampStands("yolo26", False, crew.ramp().step_at),
        ]

    async def test_a_rollback_that_is_only_tried_is_none(self, house: RampHouse) -> None:
        crew = await house.worker()
        await crew.start(dry_run=True)
        house.add(crew, LEGACY)
        await crew.look()
        house.add(crew, BROKEN)
        await crew.look()
        assert look_of(house).action == "roll back"
        assert not [event for event in house.events if isinstance(event, RampRolledBack)]

    async def test_a_person_is_waited_for_where_neither_time_nor_traffic_would_help(
        self, house: RampHouse
    ) -> None:
        crew = await house.measured()
        await crew.look()
        assert waiting(house) is False, "for samples"
        await crew.orders.pause("yolo26", who="anna", reason="lunch")
        await crew.look()
        assert waiting(house) is True
        await crew.orders.resume("yolo26", who="anna", reason="back")
        house.headroom = 0.5
        await crew.look()
        assert waiting(house) is False, "samples are missing as well"
        house.add(crew, CLEAN)
        await crew.look()
        assert (crew.ramp().step, waiting(house)) == (0, True)
        house.headroom = 2.0
        await crew.look()
        assert (crew.ramp().step, waiting(house)) == (1, False)

    async def test_a_gate_that_is_reached_waits_for_a_person(self, house: RampHouse) -> None:
        crew = await house.worker()
        await crew.start(gates=[0.25])
        house.add(crew, LEGACY)
        await crew.look()
        await crew.look()
        assert waiting(house) is False, "for samples"
        house.add(crew, CLEAN)
        await crew.look()
        assert waiting(house) is True

    async def test_who_does_not_lead_any_more_says_no_more_that_somebody_is_waited_for(
        self, house: RampHouse
    ) -> None:
        crew = await house.measured()
        await crew.orders.pause("yolo26", who="anna", reason="lunch")
        await crew.look()
        house.add(crew, {"compared.same": 9, "compared.different": 1})
        await crew.look()
        assert disagreement(house) == pytest.approx(0.1)
        house.store.resign("a")
        assert house.store.lead("b", 60.0)
        await crew.look()
        assert waiting(house) is False
        assert disagreement(house) is None, "the next leader's is another figure"

    async def test_nor_does_one_that_cannot_read_the_flags(self, house: RampHouse) -> None:
        way = Crashing(house.store)
        crew = await house.worker(through=way, rollout_heartbeat_s=0.05)  # type: ignore[arg-type]
        await crew.start()
        await crew.orders.pause("yolo26", who="anna", reason="lunch")
        await crew.look()
        assert waiting(house) is True
        way.away = True
        await until(lambda: crew.rollout.stale)
        await crew.pilot.look()
        way.away = False
        assert waiting(house) is False

    async def test_the_books_of_older_ramps_are_forgotten(self, house: RampHouse) -> None:
        crew = await house.measured()
        old = book_of("yolo26", crew.ramp())
        house.add(crew, CLEAN)
        house.store.add("yolo26/idle", {"errors.0": 1}, "recorder", 99)
        await crew.orders.abort("yolo26", who="anna", reason="enough")
        await crew.look()
        assert old in house.store.books()
        await crew.start()
        house.add(crew, LEGACY)
        await crew.look()
        assert old not in house.store.books()
        assert {"yolo26/idle", f"yolo26/{crew.ramp().id}.1"} <= set(house.store.books())

    async def test_a_new_model_without_a_certificate_pauses_it(self, house: RampHouse) -> None:
        crew = await house.measured()
        house.add(crew, {"version.2": 50})
        await crew.look()
        assert "the certificate is for 1, not 2" in crew.ramp().paused

    async def test_evidence_that_is_lost_begins_the_step_anew(self, house: RampHouse) -> None:
        crew = await house.measured()
        house.add(crew, FEW)
        await crew.look()
        house.store.forget_books(())
        await crew.look()
        assert (crew.ramp().step, crew.ramp().tries) == (0, 3)
        assert (await crew.rollout.history())[0].reason == "evidence was lost, and the step begins anew"

    async def test_so_does_a_store_that_was_emptied(self, house: RampHouse) -> None:
        way = Crashing(house.store)
        crew = await house.worker(through=way)  # type: ignore[arg-type]
        await crew.start()
        house.add(crew, LEGACY)
        await crew.look()
        house.add(crew, FEW)
        await crew.look()
        way.store = MemoryStore()
        await crew.look()
        assert (crew.ramp().step, crew.ramp().tries) == (0, 3)

    async def test_what_the_next_leader_must_know_is_kept_before_anything_is_moved(
        self, house: RampHouse
    ) -> None:
        way = Crashing(house.store)
        crew = await house.worker(through=way)  # type: ignore[arg-type]
        await crew.start()
        house.add(crew, LEGACY)
        way.calls.clear()
        await crew.look()
        kept = [name for name in way.calls if name in ("keep", "write")]
        assert kept == ["keep", "keep", "write"]


class TestSeveralWorkers:
    async def test_one_leads_and_the_others_wait(self, house: RampHouse) -> None:
        crews = [await house.worker(name) for name in "abc"]
        await crews[0].start()
        house.add(crews[0], LEGACY)
        for crew in crews:
            await crew.look()
        stepped = [change for change in await crews[0].rollout.history() if change.who == "ramp"]
        assert len(stepped) == 1
        assert [crew.ramp().step for crew in crews] == [0, 0, 0]

    async def test_a_leader_that_resigns_is_followed_at_once(self, house: RampHouse) -> None:
        first, second = [await house.worker(name, ramp_lease_s=600) for name in "ab"]
        await first.start()
        await first.look()
        house.add(first, LEGACY)
        await second.look()
        assert second.ramp().step == -1
        await first.pilot.close()
        await second.look()
        assert second.ramp().step == 0

    async def test_all_looking_at_once_make_one_step(self, house: RampHouse) -> None:
        crews = [await house.worker(name) for name in "abcd"]
        await crews[0].start()
        house.add(crews[0], LEGACY)
        await asyncio.gather(*(crew.look(3) for crew in crews))
        assert [change.reason for change in await crews[0].rollout.history() if change.who == "ramp"] == [
            "legacy is measured; the first step is 10 %"
        ]


class TestAwayStore:
    async def test_nothing_happens_and_it_is_said_once(
        self, house: RampHouse, caplog: pytest.LogCaptureFixture
    ) -> None:
        way = Crashing(house.store)
        crew = await house.worker(through=way, ramp_look_s=0.001, rollout_poll_s=60)  # type: ignore[arg-type]
        await crew.start()
        house.add(crew, LEGACY)
        way.away = True
        way.calls.clear()
        with caplog.at_level(logging.WARNING, "backend.ramp.pilot"):
            running = asyncio.create_task(crew.pilot.run())
            await until(lambda: bool(caplog.records))
            await asyncio.sleep(0.05)  # some fifty looks
            assert len(caplog.records) == 1
            way.away = False
            await until(lambda: crew.ramp().step == 0)
            running.cancel()


async def leading(house: RampHouse) -> tuple[Crew, Crashing]:
    """A leader that is about to take its second step."""
    way = Crashing(house.store)
    still = {"rollout_poll_s": 60, "rollout_env_poll_s": 60, "rollout_heartbeat_s": 60}
    leader = await house.worker("leader", through=way, **still)  # type: ignore[arg-type]
    await leader.start()
    house.add(leader, LEGACY)
    await leader.look()
    house.add(leader, CLEAN)
    way.calls.clear()
    return leader, way


async def survived(house: RampHouse, dies_at: int, *, after: bool) -> list[str]:
    """The leader dies on the way, and another one goes on. What the history says of it."""
    leader, way = await leading(house)
    way.dies_at, way.after = dies_at, after
    with pytest.raises(Died):
        await leader.look()
    way.dies_at = None
    house.store.resign("leader")  # as its lease runs out
    heir = await house.worker("heir")
    await heir.look(3)
    assert (heir.state.fraction_of("yolo26"), heir.ramp().step, heir.ramp().tries) == (0.25, 1, 3)
    house.add(heir, CLEAN)
    await heir.look(2)
    assert heir.state.fraction_of("yolo26") == 0.5
    return [change.reason for change in reversed(await heir.rollout.history()) if change.who == "ramp"]


STORY = [
    "legacy is measured; the first step is 10 %",
    "promoted from 10 % to 25 %",
    "promoted from 25 % to 50 %",
]


class TestALeaderThatDies:
    async def test_at_every_point_of_a_step_nothing_is_lost_and_nothing_done_twice(
        self, house: RampHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leader, way = await leading(house)
        await leader.look()
        points = tuple(way.calls)
        assert {"lead", "counts", "keep", "write"} <= set(points)
        for number, after in itertools.product(range(1, len(points) + 1), (False, True)):
            other = RampHouse(tmp_path / f"{number}{after}", monkeypatch)
            assert await survived(other, number, after=after) == STORY, (points[number - 1], after)
            await other.close()


async def put(crew: Crew, **patch: object) -> None:
    await crew.rollout.change(patch, who="ben", reason="a try", version=None)


def sides(crew: Crew) -> dict[str, str]:
    """Where the camera at the gate is sent."""
    decide = crew.rollout.flags.decide
    return {detector: decide(detector, "gate", "1").backend for detector in ("rtdetr", "yolo26")}


async def switched(crew: Crew, *, killed: bool) -> None:
    await until(lambda: crew.rollout.flags.view.kill_switch == killed)
