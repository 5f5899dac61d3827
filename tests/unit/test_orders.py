"""What a person asks of a ramp, and what is refused in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backend.ramp.phrases import duration, percent
from backend.rollout.control import NotPossible
from tests.ramp_house import CLEAN, LEGACY, Crew, RampHouse
from tests.rollout_house import until


@pytest.fixture
async def house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_said_of_flags: None
) -> AsyncIterator[RampHouse]:
    made = RampHouse(tmp_path, monkeypatch)
    yield made
    await made.close()


@pytest.fixture
async def crew(house: RampHouse) -> Crew:
    return await house.worker()


async def put(crew: Crew, **patch: Any) -> None:
    await crew.rollout.change(patch, who="ben", reason="before", version=None)


async def last_reason(crew: Crew) -> str:
    return (await crew.rollout.history())[0].reason


class TestStart:
    async def test_legacy_is_measured_first_and_no_traffic_moves(self, crew: Crew) -> None:
        state = await crew.start()
        ramp = state.ramps["yolo26"]
        assert (ramp.phase, ramp.step, ramp.steps) == ("baseline", -1, (0.1, 0.25, 0.5, 0.75, 1.0))
        assert state.fraction_of("yolo26") == 0.0

    async def test_a_ramp_has_comparisons_and_says_that_it_set_them(self, crew: Crew) -> None:
        assert (await crew.start()).shadow == 0.1
        assert (
            await last_reason(crew)
            == "ramp started: it is time (shadow set from 0 % to 10 %: a ramp needs comparisons)"
        )

    async def test_more_comparisons_than_that_stay(self, crew: Crew) -> None:
        await put(crew, shadow=0.5)
        assert (await crew.start()).shadow == 0.5
        assert await last_reason(crew) == "ramp started: it is time"

    async def test_no_detector_stands_for_all_of_them_in_one_change(self, crew: Crew) -> None:
        state = await crew.start(None)
        assert {name: ramp.phase for name, ramp in state.ramps.items()} == {
            "rtdetr": "baseline",
            "yolo26": "baseline",
        }
        assert state.ramps["rtdetr"].id != state.ramps["yolo26"].id
        assert state.version == 2

    async def test_all_is_those_that_can(self, crew: Crew) -> None:
        first = (await crew.start("rtdetr")).ramps["rtdetr"]
        state = await crew.start(None)
        assert state.ramps["rtdetr"] == first
        assert state.ramps["yolo26"].is_on

    @pytest.mark.parametrize(
        ("given", "first"), [(0.0, 0.1), (0.05, 0.1), (0.1, 0.1), (0.3, 0.25), (0.75, 0.75)]
    )
    async def test_what_was_given_by_hand_is_earned_first(
        self, crew: Crew, given: float, first: float
    ) -> None:
        await put(crew, fraction=given)
        ramp = (await crew.start()).ramps["yolo26"]
        assert ramp.steps[ramp.step + 1] == first

    async def test_steps_gates_and_dry_run_are_the_callers(self, crew: Crew) -> None:
        ramp = (await crew.start(steps=[0.2, 0.6], gates=[0.6], dry_run=True)).ramps["yolo26"]
        assert (ramp.steps, ramp.gates, ramp.dry_run) == ((0.2, 0.6), (0.6,), True)

    async def test_one_ramp_at_a_time(self, crew: Crew) -> None:
        await crew.start()
        with pytest.raises(NotPossible, match="yolo26 has a ramp already"):
            await crew.start()

    async def test_an_ended_one_makes_way(self, crew: Crew) -> None:
        first = (await crew.start()).ramps["yolo26"].id
        await crew.orders.abort("yolo26", who="anna", reason="wrong day")
        assert (await crew.start()).ramps["yolo26"].id != first

    @pytest.mark.parametrize("steps", [[0.5, 0.2], [0.0, 0.5], [0.5, 1.5], [0.2, 0.2]])
    async def test_steps_rise(self, crew: Crew, steps: list[float]) -> None:
        with pytest.raises(NotPossible, match="they must rise"):
            await crew.start(steps=steps)

    async def test_a_gate_is_a_fraction(self, crew: Crew) -> None:
        with pytest.raises(NotPossible, match="A gate is a fraction"):
            await crew.start(gates=[25])

    async def test_nothing_is_left_to_ramp(self, crew: Crew) -> None:
        await put(crew, overrides={"yolo26": 1.0})
        with pytest.raises(NotPossible, match="Triton has 100 % of yolo26 already"):
            await crew.start()

    async def test_triton_switched_off(self, crew: Crew) -> None:
        await put(crew, enabled=False)
        with pytest.raises(NotPossible, match="rollout enable"):
            await crew.start()

    async def test_the_kill_switch(self, house: RampHouse, crew: Crew) -> None:
        house.say(enabled=False)
        await until(lambda: crew.rollout.flags.view.kill_switch)
        with pytest.raises(NotPossible, match="TRITON_ENABLED=false"):
            await crew.start()

    async def test_no_legacy(self, house: RampHouse) -> None:
        crew = await house.worker("alone", legacy_enabled=False, fallback="none")
        with pytest.raises(NotPossible, match="LEGACY_ENABLED=false"):
            await crew.start()

    async def test_an_unknown_detector(self, crew: Crew) -> None:
        with pytest.raises(NotPossible, match="There is no detector 'yolo5'; there are rtdetr, yolo26"):
            await crew.start("yolo5")

    async def test_no_certificate_unless_forced_with_a_reason(self, house: RampHouse, crew: Crew) -> None:
        house.certificates.missing = True
        with pytest.raises(NotPossible, match="there is no certificate"):
            await crew.start()
        with pytest.raises(NotPossible, match="needs a reason"):
            await crew.orders.start("yolo26", who="anna", reason=" ", force=True)
        assert (await crew.start(force=True)).ramps["yolo26"].forced == "it is time"

    async def test_a_refused_order_changes_nothing(self, crew: Crew) -> None:
        before = crew.state
        with pytest.raises(NotPossible):
            await crew.start(steps=[0.5, 0.2])
        assert await crew.rollout.read() == before


class TestSteering:
    async def test_a_paused_ramp_keeps_its_evidence_when_it_is_resumed(self, house: RampHouse) -> None:
        crew = await house.measured()
        await crew.orders.pause("yolo26", who="anna", reason="lunch")
        assert crew.ramp().paused == "by anna: lunch"
        house.add(crew, CLEAN)
        await crew.look()
        assert crew.state.fraction_of("yolo26") == 0.1
        await crew.orders.resume("yolo26", who="anna", reason="back")
        await crew.look()
        assert crew.state.fraction_of("yolo26") == 0.25

    async def test_only_a_paused_ramp_is_resumed(self, house: RampHouse) -> None:
        crew = await house.measured()
        with pytest.raises(NotPossible, match="is not paused"):
            await crew.orders.resume("yolo26", who="anna", reason="back")

    async def test_resumed_at_its_last_step_it_leaves_legacy_its_two_percent(self, house: RampHouse) -> None:
        crew = await house.worker()
        await crew.start(steps=[1.0])
        house.add(crew, LEGACY)
        await crew.look()
        assert crew.state.fraction_of("yolo26") == 0.98
        await put(crew, overrides={"yolo26": 0.3})
        await crew.orders.resume(None, who="anna", reason="back")
        assert crew.state.fraction_of("yolo26") == 0.98

    async def test_an_approval_is_for_one_gate(self, house: RampHouse) -> None:
        crew = await house.worker()
        await crew.start(gates=[0.25, 0.5])
        await crew.orders.approve("yolo26", who="anna", reason="seen")
        assert crew.ramp().approved == 0.25
        await crew.orders.approve("yolo26", who="anna", reason="seen")
        with pytest.raises(NotPossible, match="No step of yolo26 waits for approval"):
            await crew.orders.approve("yolo26", who="anna", reason="seen")

    async def test_a_gate_between_two_steps_is_approved_like_any_other(self, house: RampHouse) -> None:
        crew = await house.measured()
        await crew.orders.abort("yolo26", who="anna", reason="again, with a gate")
        await crew.start(gates=[0.2, 0.9], steps=[0.1, 0.25])
        await crew.orders.approve("yolo26", who="anna", reason="seen")
        assert crew.ramp().approved == 0.2
        with pytest.raises(NotPossible, match="No step of yolo26 waits"):
            await crew.orders.approve("yolo26", who="anna", reason="0.9 is never reached")

    async def test_an_aborted_ramp_leaves_the_fraction_and_says_so(self, house: RampHouse) -> None:
        crew = await house.measured()
        state = await crew.orders.abort("yolo26", who="anna", reason="enough")
        assert state.fraction_of("yolo26") == 0.1
        assert state.ramps["yolo26"].ended == "aborted by anna, Triton stays at 10 %: enough"
        assert await last_reason(crew) == "ramp aborted, fractions stay: enough"

    @pytest.mark.parametrize("order", ["pause", "resume", "approve", "abort"])
    @pytest.mark.parametrize("detector", ["yolo26", None])
    async def test_without_a_ramp_there_is_nothing_to_steer(
        self, crew: Crew, order: str, detector: str | None
    ) -> None:
        with pytest.raises(NotPossible, match="has no ramp that is on"):
            await getattr(crew.orders, order)(detector, who="anna", reason="why not")

    async def test_two_people_at_once_both_get_their_way(self, house: RampHouse, crew: Crew) -> None:
        other = await house.worker("b", rollout_poll_s=60, rollout_heartbeat_s=60)
        await asyncio.gather(crew.start("yolo26"), other.start("rtdetr"))
        assert sorted((await crew.rollout.read()).ramps) == ["rtdetr", "yolo26"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (45, "45 seconds"), (100, "2 minutes"), (7200, "2 hours"), (300_000, "3 days")],
)
def test_durations_are_said_in_their_largest_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_shares_are_said_in_percent() -> None:
    assert [percent(share) for share in (0.98, 0.001, 1)] == ["98 %", "0.1 %", "100 %"]
