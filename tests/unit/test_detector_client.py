"""The heart, with scripted sides: who is asked, for how long, what is done when a side fails, what is said of it."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai.core.detections import Detections, Thresholds
from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from backend.observe.events import (
    BreakerMoved,
    FellBack,
    HeadroomMeasured,
    InFlight,
    RequestEnded,
    Retried,
    ShadowDropped,
    Shed,
    SideReady,
    told,
)
from backend.rollout.flags import View
from backend.rollout.state import RolloutState
from backend.services.deadline import Deadline
from backend.services.errors import AllRefused, NoSide, NotServed, SideOff, TooBusy, TooLate, UnknownDetector
from backend.services.request import RequestInfo
from backend.shadow.pairs import Offer, Saw
from backend.sides import LEGACY, TRITON
from backend.transports.base import Ask, Found
from backend.transports.fake import FakeTransport, Hang
from tests.clocks import HandClock
from tests.hearts import DETECTOR, JPEG, Heart, heart

pytestmark = pytest.mark.alone

EMPTY = Found(Detections((), 640, 480), "1")
NO_RETRY = {"triton_max_retries": 0}
KINDS = [Unavailable, Overloaded, DeadlineExceeded, ServerError, ModelNotFound, InvalidModelOutput, Refused]
CODES = {
    Unavailable: "unavailable", Overloaded: "overloaded", DeadlineExceeded: "deadline_exceeded",
    ServerError: "server_error", ModelNotFound: "model_not_found", InvalidModelOutput: "invalid_model_output",
    Refused: "refused",
}  # fmt: skip


def failing(kind: type[BackendError]) -> FakeTransport:
    return FakeTransport().always(kind("planned"))


async def settled(made: Heart, timeout_s: float = 10.0) -> None:
    """Until no attempt is under way."""
    async with asyncio.timeout(timeout_s):
        while any(lane.in_flight for lane in made.client.sides()):
            await asyncio.sleep(0.005)


# --- who is asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
async def test_a_fraction_of_the_requests_goes_to_triton_within_the_binomial_bound(fraction):
    made = heart(fraction=fraction)
    n = 10_000
    for _ in range(n):
        await made.ask()
    deviation = math.sqrt(fraction * (1 - fraction) / n)
    assert abs(made.triton.calls / n - fraction) <= 5 * deviation
    assert made.triton.calls + made.legacy.calls == n


async def test_an_answer_says_who_served_it_and_why():
    served = await heart().ask(about=RequestInfo("abc"))
    assert (served.backend, served.detector, served.model_version) == (TRITON, DETECTOR, "1")
    assert (served.decision.reason, served.fallback_reason, served.attempts) == ("FRACTION", None, 1)
    assert 0 <= served.backend_s <= served.total_s


async def test_the_picture_and_the_callers_headers_travel_as_they_came():
    made = heart()
    await made.ask(about=RequestInfo("abc", headers={"traceparent": "00-1-2-01"}))
    asked = made.triton.asked[0]
    assert (asked.image, asked.media_type) == (JPEG, "image/jpeg")
    assert (asked.request_id, asked.headers) == ("abc", {"traceparent": "00-1-2-01"})


async def test_a_scene_with_nothing_in_it_is_an_answer():
    served = await heart(triton=FakeTransport(EMPTY)).ask()
    assert served.detections.items == ()
    assert served.backend == TRITON


async def test_a_threshold_of_zero_is_a_value():
    found = Found(
        Detections.from_table([(1.0, 1.0, 9.0, 9.0, 0.06, 0.0), (1.0, 1.0, 9.0, 9.0, 0.6, 1.0)], 20, 20)
    )
    made = heart(triton=FakeTransport(found), triton_confidence_threshold=0.0)
    assert len((await made.ask()).detections) == 2
    assert len((await heart(triton=FakeTransport(found)).ask()).detections) == 1
    assert len((await heart(triton=FakeTransport(found)).ask(thresholds=Thresholds(0.01))).detections) == 2


async def test_a_class_may_have_a_threshold_of_its_own():
    found = Found(
        Detections.from_table([(1.0, 1.0, 9.0, 9.0, 0.3, 0.0), (1.0, 1.0, 9.0, 9.0, 0.3, 2.0)], 20, 20)
    )
    made = heart(triton=FakeTransport(found), triton_class_thresholds="person:0.2")
    assert [one.label for one in (await made.ask()).detections] == ["person"]


async def test_an_unknown_detector_is_named_with_those_that_exist():
    with pytest.raises(UnknownDetector, match="rtdetr, yolo26"):
        await heart().ask(detector="yolo99")


async def test_a_forced_side_never_falls_back_and_never_overrides_the_kill_switch():
    made = heart(triton=failing(ServerError), fraction=0.0)
    with pytest.raises(NoSide):
        await made.ask(force=TRITON)
    assert made.legacy.calls == 0
    made.show(kill_switch=True)
    with pytest.raises(SideOff):
        await made.ask(force=TRITON)
    assert made.triton.calls == 1


async def test_a_forced_side_is_asked_although_its_breaker_is_open():
    made = heart(triton=failing(ServerError))
    for _ in range(5):
        await made.ask()
    asked = made.triton.calls
    with pytest.raises(NoSide, match="server_error"):
        await made.ask(force=TRITON)
    assert made.triton.calls == asked + 1


# --- failing well ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_triton_says_legacy_answers_and_the_reason_is_told(kind):
    made = heart(triton=failing(kind), **NO_RETRY)
    served = await made.ask()
    assert (served.backend, served.fallback_reason, served.attempts) == (LEGACY, CODES[kind], 2)
    assert made.told(FellBack) == [FellBack(DETECTOR, TRITON, LEGACY, CODES[kind])]


@pytest.mark.parametrize("kind", KINDS)
async def test_only_what_counts_against_a_side_opens_its_breaker(kind):
    made = heart(triton=failing(kind), **NO_RETRY)
    for _ in range(30):
        assert (await made.ask()).backend == LEGACY
    assert made.lane(TRITON).status.breaker == ("open" if kind.counts_against_backend else "closed")
    assert made.triton.calls == (5 if kind.counts_against_backend else 30)


@pytest.mark.parametrize("kind", KINDS)
async def test_only_a_lost_connection_is_retried(kind):
    made = heart(triton=FakeTransport().then(kind("planned")))
    served = await made.ask()
    assert served.backend == (TRITON if kind is Unavailable else LEGACY)
    assert len(made.told(Retried)) == (1 if kind is Unavailable else 0)


async def test_retries_end_with_their_budget():
    made = heart(
        triton=failing(Unavailable), retry_budget_share=0.0, retry_budget_per_s=0.2, breaker_failures=1000,
        breaker_least=1000,
    )  # fmt: skip
    for _ in range(10):
        await made.ask()
    assert len(made.told(Retried)) <= 3  # two were saved up, one may have come


async def test_a_picture_that_triton_refuses_is_shown_to_legacy_once():
    made = heart(triton=failing(Refused))
    assert (await made.ask()).backend == LEGACY
    assert (made.triton.calls, made.legacy.calls) == (1, 1)


async def test_a_picture_that_both_refuse_is_the_callers_mistake():
    made = heart(triton=failing(Refused), legacy=failing(Refused))
    with pytest.raises(AllRefused):
        await made.ask()
    assert made.told(RequestEnded)[0].outcome == "refused"


async def test_a_picture_that_one_refuses_while_the_other_is_down_is_not_called_a_mistake():
    with pytest.raises(NoSide):
        await heart(triton=failing(Refused), legacy=failing(ServerError)).ask()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {Refused}, key=lambda kind: kind.__name__))
@pytest.mark.parametrize("first", [LEGACY, TRITON])
async def test_a_picture_that_legacy_looked_at_and_refuses_is_a_mistake_whatever_triton_says(first, kind):
    """A caller told to come back would come back with the same picture."""
    made = heart(
        failing(Refused), failing(kind), fraction=float(first == TRITON), fallback="both", **NO_RETRY
    )
    with pytest.raises(AllRefused, match="planned"):
        await made.ask()
    assert made.told(RequestEnded)[0].outcome == "refused"


@pytest.mark.parametrize("first", [LEGACY, TRITON])
async def test_so_it_is_where_triton_had_no_place_to_look_at_it(first):
    hang = Hang()
    made = heart(
        failing(Refused), FakeTransport().always(hang), fraction=float(first == TRITON), fallback="both",
        triton_max_in_flight=1,
    )  # fmt: skip
    filling = asyncio.create_task(made.ask(force=TRITON))
    await asyncio.sleep(0.02)
    with pytest.raises(AllRefused):
        await made.ask()
    assert [one.backend for one in made.told(Shed)] == [TRITON]
    hang.release()
    await filling


async def test_what_triton_refuses_while_legacy_has_no_place_may_be_a_fault_of_ours_and_is_busy():
    hang = Hang()
    made = heart(FakeTransport().always(hang), failing(Refused), legacy_max_in_flight=1)
    filling = asyncio.create_task(made.ask(force=LEGACY))
    await asyncio.sleep(0.02)
    with pytest.raises(TooBusy):
        await made.ask()
    hang.release()
    await filling


async def test_a_hung_triton_leaves_legacy_its_share_of_the_deadline():
    made = heart(triton=FakeTransport().always(Hang()), abandoned_attempt_s=0.05)
    served = await made.ask(deadline=Deadline.after(1.0))
    assert (served.backend, served.fallback_reason) == (LEGACY, "deadline_exceeded")
    assert made.triton.asked[0].timeout_s == pytest.approx(0.4, abs=0.05)
    assert made.legacy.asked[0].timeout_s == pytest.approx(0.6, abs=0.2)


async def test_without_a_fallback_triton_may_use_the_whole_deadline():
    made = heart(fallback="none")
    await made.ask(deadline=Deadline.after(2.0))
    assert made.triton.asked[0].timeout_s == pytest.approx(2.0, abs=0.2)


async def test_a_legacy_that_cannot_be_asked_is_no_reason_to_hurry_triton():
    made = heart(legacy=failing(ServerError), fallback="both", fraction=0.0)
    for _ in range(5):
        await made.ask()
    made.show(fraction=1.0)
    await made.ask(deadline=Deadline.after(2.0))
    assert made.triton.asked[-1].timeout_s == pytest.approx(2.0, abs=0.2)


async def test_legacy_first_is_not_cut():
    made = heart(fraction=0.0, fallback="both")
    await made.ask(deadline=Deadline.after(2.0))
    assert made.legacy.asked[0].timeout_s == pytest.approx(2.0, abs=0.2)


async def test_a_passed_deadline_is_late_and_nothing_is_asked():
    made = heart()
    with pytest.raises(TooLate):
        await made.ask(deadline=Deadline(time.monotonic() - 1))
    assert made.triton.calls == made.legacy.calls == 0


async def test_two_hung_sides_end_with_the_deadline():
    made = heart(FakeTransport().always(Hang()), FakeTransport().always(Hang()), abandoned_attempt_s=0.01)
    with pytest.raises(TooLate):
        await made.ask(deadline=Deadline.after(0.3))
    assert made.told(RequestEnded)[0].total_s < 2


async def test_a_dead_legacy_at_0_percent_is_said_at_once_and_triton_is_never_asked():
    made = heart(legacy=failing(Unavailable), fraction=0.0, **NO_RETRY)
    for _ in range(5):
        with pytest.raises(NoSide):
            await made.ask()
    asked = made.legacy.calls
    with pytest.raises(NoSide, match="breaker_open") as caught:
        await made.ask()
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1
    assert made.legacy.calls == asked
    assert made.triton.calls == 0


async def test_with_fallback_both_triton_answers_for_a_dead_legacy():
    made = heart(legacy=failing(ServerError), fraction=0.0, fallback="both")
    served = await made.ask()
    assert (served.backend, served.fallback_reason) == (TRITON, "server_error")


async def test_with_fallback_none_an_error_of_triton_is_an_error():
    made = heart(triton=failing(ServerError), fallback="none")
    with pytest.raises(NoSide):
        await made.ask()
    assert made.legacy.calls == 0


async def test_a_transport_that_breaks_its_contract_does_not_take_the_request_with_it():
    class Broken(FakeTransport):
        async def detect(self, ask: Ask) -> Found:
            raise ZeroDivisionError

    made = heart(triton=Broken())
    assert (await made.ask()).fallback_reason == "server_error"


async def test_a_fault_of_ours_is_counted_as_one():
    made = heart()
    made.lane(TRITON).ask = None
    with pytest.raises(TypeError):
        await made.ask()
    assert [one.outcome for one in made.told(RequestEnded)] == ["failed"]


async def test_an_observer_that_fails_hurts_nobody():
    def fail(_: object) -> None:
        raise RuntimeError("planned")

    made = heart(observe=told(fail))
    assert (await made.ask()).backend == TRITON


# --- the flag, obeyed at once ---------------------------------------------------------------------------------


async def test_a_flag_that_moves_between_two_tries_ends_the_tries():
    made = heart()

    class Falling(FakeTransport):
        async def detect(self, ask: Ask) -> Found:
            self.calls += 1
            made.show(fraction=0.0)
            raise Unavailable("planned")

    made.lane(TRITON)._transport = falling = Falling()
    served = await made.ask()
    assert (served.backend, falling.calls) == (LEGACY, 1)


async def test_a_flag_that_moves_away_leads_to_legacy_whatever_fallback_says():
    made = heart(fallback="none")

    class Falling(FakeTransport):
        async def detect(self, ask: Ask) -> Found:
            made.show(fraction=0.0)
            raise Unavailable("planned")

    made.lane(TRITON)._transport = Falling()
    assert (await made.ask()).backend == LEGACY


async def test_what_keeps_a_retry_away_hides_nothing():
    made = heart(triton=failing(Unavailable), breaker_failures=1)
    assert (await made.ask()).fallback_reason == "unavailable"
    assert made.told(Retried) == [], "there was none"


@pytest.mark.parametrize("change", [{"kill_switch": True}, {"enabled": False}])
async def test_a_switched_off_triton_is_nobodys_fallback(change):
    made = heart(legacy=failing(ServerError), fallback="both", fraction=0.0)
    made.show(**change)
    with pytest.raises(NoSide):
        await made.ask()
    assert made.triton.calls == 0


async def test_a_rolled_back_triton_is_nobodys_fallback():
    made = heart(legacy=failing(ServerError), fallback="both", fraction=0.5)
    view = made.flags.view
    assert view.state is not None
    made.flags.show(View(state=view.state.rolled_back()))
    with pytest.raises(NoSide):
        await made.ask()
    assert made.triton.calls == 0
    made.show(fraction=0.00001)
    assert (await made.ask()).backend == TRITON, "somebody gave it a share again"


async def test_with_both_sides_off_the_caller_is_told_so():
    view = View(state=RolloutState(version=1, fraction=1.0), kill_switch=True, legacy_enabled=False)
    made = heart(view=view, legacy_enabled=False)
    with pytest.raises(NoSide, match="switched off"):
        await made.ask()


# --- callers who go -------------------------------------------------------------------------------------------


async def test_impatient_callers_cannot_hide_a_hung_triton():
    made = heart(triton=FakeTransport().always(Hang()), breaker_open_s=60)
    lost: list[int] = []

    async def camera() -> None:
        lost_here = 0
        while made.lane(TRITON).status.breaker == "closed":
            try:
                async with asyncio.timeout(0.1):
                    await made.ask()
            except TimeoutError:
                lost_here += 1
        lost.append(lost_here)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        started = asyncio.get_running_loop().time()
        for _ in range(8):
            group.create_task(camera())
    assert asyncio.get_running_loop().time() - started < 1.0, "the promise: within a second"
    assert max(lost) <= 5
    async with asyncio.timeout(0.1):
        assert (await made.ask()).backend == LEGACY
    await settled(made)


@pytest.mark.parametrize("leaves", ["hangs up", "has a short deadline"])
async def test_impatient_callers_cannot_make_a_healthy_triton_look_dead(leaves):
    made = heart(triton=FakeTransport(delay_s=0.05))
    for _ in range(30):
        if leaves == "hangs up":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await made.ask()
        else:
            served = await made.ask(deadline=Deadline.after(0.02))
            assert served.fallback_reason in {"deadline_exceeded", "pace"}
    await settled(made)
    assert set(made.attempts(TRITON)) == {"ok"}
    assert made.lane(TRITON).status.breaker == "closed"


async def test_a_caller_who_hung_up_is_on_record():
    made = heart(triton=FakeTransport().always(Hang()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await made.ask()
    assert [one.outcome for one in made.told(RequestEnded)] == ["gone"]
    await settled(made)
    assert made.attempts(TRITON) == ["deadline_exceeded"]


async def test_a_storm_of_callers_who_hang_up_leaves_nothing_behind():
    made = heart(
        FakeTransport(delay_s=0.02),
        FakeTransport(delay_s=0.02),
        triton_max_in_flight=64,
        legacy_max_in_flight=64,
    )
    before = len(asyncio.all_tasks())

    async def impatient() -> None:
        try:
            async with asyncio.timeout(0.01):
                await made.ask()
        except (TimeoutError, NotServed):
            pass

    await asyncio.gather(*(impatient() for _ in range(5_000)))
    await settled(made)
    for _ in range(100):
        await made.ask()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
    assert all(lane.in_flight == 0 for lane in made.client.sides())
    assert made.told(InFlight)[-1].count == 0


# --- too much -------------------------------------------------------------------------------------------------


async def test_what_no_side_has_a_place_for_is_refused_at_once():
    hang = Hang()
    made = heart(
        FakeTransport().always(hang),
        FakeTransport().always(hang),
        triton_max_in_flight=2,
        legacy_max_in_flight=2,
    )
    waiting = [asyncio.create_task(made.ask()) for _ in range(4)]
    await asyncio.sleep(0.02)
    started = time.monotonic()
    with pytest.raises(TooBusy) as caught:
        await made.ask()
    assert time.monotonic() - started < 0.5 * made.client._policy.deadline_s
    assert caught.value.retry_after_s == 1.0
    assert [one.backend for one in made.told(Shed)][-2:] == [TRITON, LEGACY]
    hang.release()
    assert {served.backend for served in await asyncio.gather(*waiting)} == {TRITON, LEGACY}


class OneByOne(FakeTransport):
    """Answers `per_s` pictures a second, one after the other, as a legacy service does; late work is dropped."""

    def __init__(self, per_s: float) -> None:
        super().__init__()
        self._each_s, self._model = 1 / per_s, asyncio.Lock()
        self.answered, self.busy_s = 0, 0.0

    async def detect(self, ask: Ask) -> Found:
        try:
            async with asyncio.timeout(ask.timeout_s), self._model:
                begun = time.monotonic()
                await asyncio.sleep(self._each_s)
                self.busy_s += time.monotonic() - begun
        except TimeoutError as error:
            raise DeadlineExceeded("too late") from error
        self.answered += 1
        return EMPTY


LAY_STILL_S = 0.05  # a machine that runs nobody for so long has measured nothing


async def test_under_too_much_load_legacy_keeps_its_goodput_and_every_camera_is_served():
    """Ten cameras ask five times what legacy can carry, and Triton is dead. The control is the pace of the callers
    themselves: where they were held up, and not by us, it is measured again."""
    for _ in range(3):
        served, of_use, busy, still_s = await too_much_load()
        if (of_use >= 0.95 and busy >= 0.9) or still_s < LAY_STILL_S:
            break
    assert of_use >= 0.95, "what legacy did was not done in vain"
    assert busy >= 0.9, "and it was never let idle"
    assert min(served.values()) >= 0.5 * max(served.values())


async def too_much_load() -> tuple[dict[str, int], int, float, float]:
    """Who was served, the part of legacy's answers that were, its busy part of the time, and how late a caller came."""
    legacy = OneByOne(per_s=100)
    made = heart(
        legacy, failing(Unavailable), detect_deadline_s=2.0, legacy_max_in_flight=1000, breaker_open_s=60, **NO_RETRY
    )  # fmt: skip
    served: dict[str, int] = dict.fromkeys((f"camera-{n}" for n in range(10)), 0)
    loop = asyncio.get_running_loop()
    still_s = 0.0

    async def ask(camera: str) -> None:
        try:
            await made.ask(camera=camera)
            served[camera] += 1
        except NotServed:
            pass

    async def load(seconds: float) -> None:
        nonlocal still_s
        ends_at = loop.time() + seconds
        while (now := loop.time()) < ends_at:
            for camera in served:
                group.create_task(ask(camera))
            await asyncio.sleep(0.02)
            still_s = max(still_s, loop.time() - now - 0.02)

    async with asyncio.TaskGroup() as group:
        await load(3.0)  # until its pace is known, and what came before that has ended
        served = dict.fromkeys(served, 0)
        answered, busy_s, begun = legacy.answered, legacy.busy_s, loop.time()
        await load(2.0)
    busy = (legacy.busy_s - busy_s) / (loop.time() - begun)
    of_use = sum(served.values()) / (legacy.answered - answered)
    return served, of_use, busy, still_s


async def test_a_first_crowd_does_not_make_a_healthy_legacy_look_dead():
    """Nobody knows its pace yet, and most of the crowd has too little time."""
    made = heart(OneByOne(per_s=20), fraction=0.0)
    outcomes = await asyncio.gather(
        *(made.ask(deadline=Deadline.after(0.5), camera=f"camera-{n}") for n in range(40)),
        return_exceptions=True,
    )
    assert any(not isinstance(one, BaseException) for one in outcomes)
    await settled(made)
    assert made.told(BreakerMoved) == []


async def test_a_first_crowd_that_can_be_answered_in_time_is_answered():
    made = heart(OneByOne(per_s=100), fraction=0.0)
    outcomes = await asyncio.gather(*(made.ask(camera=f"camera-{n}") for n in range(60)))
    assert {served.backend for served in outcomes} == {LEGACY}


async def test_half_of_the_answers_missing_is_not_taken_for_load():
    """Quick answers beside it say that what does not come will not come."""

    class Half(FakeTransport):
        async def detect(self, ask: Ask) -> Found:
            self.calls += 1
            await asyncio.sleep(0.001 if self.calls % 2 else ask.timeout_s + 1)
            return EMPTY

    made = heart(triton=Half(), abandoned_attempt_s=0.02, breaker_window_s=60)
    for _ in range(12):
        await asyncio.gather(*(made.ask(deadline=Deadline.after(0.2)) for _ in range(4)))
    await settled(made)
    assert made.lane(TRITON).status.breaker == "open"


async def test_a_side_that_works_on_all_at_once_is_soon_given_all():
    """With deadlines so short that its pace, measured with a few calls, would keep all but a few away."""
    made = heart(triton=FakeTransport(delay_s=0.05), fallback="none")
    loop, served = asyncio.get_running_loop(), []

    async def caller() -> None:
        ends_at = loop.time() + 3.0
        while loop.time() < ends_at:
            try:
                await made.ask(deadline=Deadline.after(0.2))
                served.append(loop.time())
            except NotServed:
                await asyncio.sleep(0.01)

    await made.ask()
    begun = loop.time()
    await asyncio.gather(*(caller() for _ in range(40)))
    late_half = sum(1 for at in served if at > begun + 1.5)
    assert late_half >= 0.5 * 40 * 1.5 / 0.06, "forty callers, each answered every 60 ms or so"


async def test_a_dead_fallback_has_no_headroom():
    made = heart(OneByOne(per_s=200))
    for _ in range(10):
        await made.ask(force=LEGACY)
    made.client.measure()
    assert made.told(HeadroomMeasured)[-1].ratio > 0
    made.lane(LEGACY)._transport = failing(ServerError)
    for _ in range(5):
        with pytest.raises(NotServed):
            await made.ask(force=LEGACY)
    made.client.measure()
    assert made.told(HeadroomMeasured)[-1].ratio == 0


# --- readiness ------------------------------------------------------------------------------------------------


def ready(made: Heart) -> dict[str, bool | None]:
    """Of this detector's sides, as it was told last."""
    made.prober.look_at_flags()
    made.client.measure()
    return {event.backend: event.ready for event in made.told(SideReady) if event.detector == DETECTOR}


async def test_a_side_is_ready_once_it_has_answered_and_until_its_breaker_opens():
    made = heart()
    assert ready(made) == {LEGACY: False, TRITON: False}
    await made.ask()
    await made.ask(force=LEGACY)
    assert ready(made) == {LEGACY: True, TRITON: True}
    made.lane(TRITON)._transport = failing(ServerError)
    for _ in range(5):
        await made.ask()
    assert ready(made) == {LEGACY: True, TRITON: False}


async def test_a_side_that_the_flags_lead_nobody_to_is_neither_ready_nor_not():
    made = heart()
    await made.ask()
    made.show(kill_switch=True)
    assert ready(made) == {LEGACY: False, TRITON: None}
    made.show(kill_switch=False)
    assert ready(made)[TRITON] is False, "what it answered before it was switched off is long ago"


async def test_a_retired_legacy_is_not_spoken_of():
    made = heart(legacy_enabled=False)
    assert set(ready(made)) == {TRITON}


# --- probes ---------------------------------------------------------------------------------------------------


async def test_no_caller_pays_for_finding_out_that_triton_is_well_again():
    triton = failing(ServerError)
    made = heart(triton=triton, breaker_open_s=0.05, breaker_probes=3)
    for _ in range(5):
        await made.ask()
    callers = triton.calls
    for _ in range(3):  # still dead: the probes find it, callers go to legacy
        await asyncio.sleep(0.06)
        made.prober.tick()
        assert (await made.ask()).fallback_reason == "breaker_open"
    assert triton.calls > callers
    triton.always(EMPTY)
    async with asyncio.timeout(10):
        while made.lane(TRITON).status.breaker != "closed":
            made.prober.tick()
            await asyncio.sleep(0.01)
    assert len(made.attempts(TRITON)) == callers, "all others were probes"
    assert (await made.ask()).backend == TRITON
    assert [one.to for one in made.told(BreakerMoved)][-2:] == ["half_open", "closed"]


async def test_a_side_that_nobody_asks_is_heard_all_the_same():
    made = heart(probe_idle_s=60)
    assert not made.client.can_serve()
    for _ in range(20):
        made.prober.tick()
        await asyncio.sleep(0)
    await settled(made)
    assert made.client.can_serve()
    assert made.attempts(TRITON, synthetic=True) == ["ok", "ok"], "one for each detector"
    assert made.attempts(LEGACY, synthetic=True) == ["ok", "ok"], "the fallback is heard too"


async def test_a_side_that_is_only_compared_with_makes_nobody_ready():
    """Legacy is gone, and what Triton sees is for no caller; the control: with FALLBACK=both it is."""
    for fallback, answers in (("legacy", False), ("both", True)):
        shadowed = View(state=RolloutState(version=1, fraction=0.0, shadow=0.5))
        made = heart(legacy=failing(Unavailable), view=shadowed, fallback=fallback, probe_idle_s=60)
        for _ in range(20):
            made.prober.tick()
            await asyncio.sleep(0)
        await settled(made)
        assert made.lane(TRITON).can_serve
        assert made.client.can_serve() is answers
        lanes = {(lane.detector, lane.backend): lane.for_callers for lane in made.client.sides()}
        assert (lanes[DETECTOR, LEGACY], lanes[DETECTOR, TRITON]) == (True, answers)


async def test_nothing_touches_a_triton_that_is_off():
    made = heart(fallback="both")
    await made.ask()
    made.show(kill_switch=True)
    for _ in range(5):
        made.prober.tick()
        await asyncio.sleep(0)
    assert made.triton.calls == 1
    assert made.triton.rests == 1, "its connections end, once"


async def test_what_a_diagnosis_opened_ends_with_the_kill_switch():
    made = heart(fraction=0.0)
    await made.ask(force=TRITON)
    made.prober.tick()
    await asyncio.sleep(0)
    assert made.triton.rests == 1
    task = asyncio.create_task(made.ask(force=TRITON))
    await task
    made.show(kill_switch=True)
    made.prober.tick()
    await asyncio.sleep(0)
    assert made.triton.rests == 2


async def test_a_diagnosis_under_way_at_0_percent_is_let_end():
    hang = Hang()
    made = heart(triton=FakeTransport().then(hang), fraction=0.0)
    asking = asyncio.create_task(made.ask(force=TRITON))
    await asyncio.sleep(0.01)
    made.prober.tick()
    await asyncio.sleep(0)
    assert made.triton.rests == 0
    hang.release()
    assert (await asking).backend == TRITON


async def test_a_triton_at_0_percent_without_shadow_is_not_probed():
    made = heart(fraction=0.0)
    for _ in range(5):
        made.prober.tick()
        await asyncio.sleep(0)
    assert made.triton.calls == 0


async def test_a_triton_that_is_shadowed_is_probed():
    made = heart(view=View(state=RolloutState(version=1, fraction=0.0, shadow=0.1)))
    for _ in range(5):
        made.prober.tick()
        await asyncio.sleep(0)
    assert made.triton.calls == 2


@pytest.mark.parametrize("was_heard", [True, False])
async def test_an_idle_side_that_died_is_found_and_one_that_starts_is_given_time(was_heard):
    made = heart(legacy=failing(Unavailable))
    made.prober._clock = clock = HandClock(time.monotonic())
    made.lane(LEGACY).heard = was_heard
    for _ in range(30):
        made.prober.tick()
        await asyncio.sleep(0.001)
        clock.sleep(1.1 if made.attempts(LEGACY, synthetic=True) else 11)
    assert made.lane(LEGACY).status.breaker == ("open" if was_heard else "closed")
    assert not made.lane(LEGACY).can_serve


# --- batches --------------------------------------------------------------------------------------------------


async def test_a_batch_has_one_decision_and_one_outcome_for_each_image():
    made = heart(FakeTransport(), FakeTransport().then(Refused("one")), fallback="none")
    outcomes = await made.client.detect_batch([JPEG] * 40, detector=DETECTOR, about=RequestInfo("b"))
    assert [isinstance(one, AllRefused) for one in outcomes] == [True] + [False] * 39
    assert {one.request_id for one in made.told(RequestEnded)} == {f"b-{index}" for index in range(40)}
    buckets = {one.bucket for one in made.told(RequestEnded)}
    assert len(buckets) > 30


async def test_an_empty_batch_is_answered():
    assert await heart().client.detect_batch([], detector=DETECTOR) == []


# --- whatever happens -----------------------------------------------------------------------------------------

OUTCOMES = st.sampled_from([None, *KINDS])


@settings(max_examples=200, deadline=None)
@given(
    triton=st.lists(OUTCOMES, max_size=4), legacy=st.lists(OUTCOMES, max_size=4),
    first=st.sampled_from([LEGACY, TRITON]), fallback=st.sampled_from(["legacy", "both", "none"]),
)  # fmt: skip
def test_an_answer_comes_from_the_first_side_that_gives_one(triton, legacy, first, fallback):
    """Held against the naive way: each side's answers in order, retried while the connection is lost."""

    def script(answers: list[type[BackendError] | None]) -> FakeTransport:
        return FakeTransport(EMPTY).then(*(EMPTY if one is None else one("planned") for one in answers))

    def gives(answers: list[type[BackendError] | None]) -> bool:
        tries = [*answers, None, None, None, None][:4]
        decisive = next((one for one in tries if one is not Unavailable), Unavailable)
        return decisive is None

    order = [first]
    if first == TRITON and fallback != "none":
        order.append(LEGACY)
    if first == LEGACY and fallback == "both":
        order.append(TRITON)
    expected = next((side for side in order if gives(triton if side == TRITON else legacy)), None)

    async def run() -> str | None:
        made = heart(script(legacy), script(triton), fraction=float(first == TRITON), fallback=fallback)
        made.client._asking._chance = lambda: 0.0
        try:
            return (await made.ask()).backend
        except NotServed:
            return None

    assert asyncio.run(run()) == expected


# --- what is offered for a comparison ---------------------------------------------------------------------------


def compared(legacy: FakeTransport | None = None, triton: FakeTransport | None = None, **what: Any) -> Heart:
    """Every request is chosen."""
    state = RolloutState(version=1, fraction=what.pop("fraction", 1.0), shadow=1.0)
    return heart(legacy, triton, view=View(state=state), **what)


def offered(made: Heart) -> list[Offer]:
    offers: list[Offer] = []
    made.client._offer = offers.append
    return offers


async def test_an_answered_request_is_offered_with_every_box_that_was_found():
    low = Found(Detections.from_table([(1.0, 1.0, 9.0, 9.0, 0.06, 0.0)], 20, 20), "7")
    made = compared(triton=FakeTransport(low))
    offers = offered(made)
    served = await made.ask(camera="front", about=RequestInfo("abc"), thresholds=Thresholds(0.4))
    assert len(served.detections) == 0
    (offer,) = offers
    assert (offer.detector, offer.camera, offer.request_id) == (DETECTOR, "front", "abc")
    assert (offer.image, offer.thresholds, offer.decided) == (JPEG, Thresholds(0.4), TRITON)
    assert offer.saw == {TRITON: Saw(low.detections, "7", served.backend_s)}
    assert offer.failed == {}


async def test_it_is_offered_once_its_outcome_is_known_and_told():
    made = compared()
    before: list[int] = []
    made.client._offer = lambda _: before.append(len(made.told(RequestEnded)))
    await made.ask()
    assert before == [1]


async def test_who_was_not_chosen_is_not_offered():
    made = heart()
    offers = offered(made)
    await made.ask()
    assert offers == []


async def test_a_request_that_fell_back_is_offered_with_the_reason():
    made = compared(triton=failing(ServerError))
    offers = offered(made)
    await made.ask()
    assert (list(offers[0].saw), offers[0].failed) == ([LEGACY], {TRITON: "server_error"})


async def test_a_request_that_triton_saved_is_offered_with_the_reason():
    made = compared(legacy=failing(ServerError), fraction=0.0, fallback="both")
    offers = offered(made)
    await made.ask()
    assert (list(offers[0].saw), offers[0].failed) == ([TRITON], {LEGACY: "server_error"})


async def test_a_request_that_nobody_served_is_offered_with_both_reasons():
    made = compared(legacy=failing(Overloaded), triton=failing(ServerError))
    offers = offered(made)
    with pytest.raises(TooBusy):
        await made.ask()
    assert (dict(offers[0].saw), offers[0].failed) == ({}, {TRITON: "server_error", LEGACY: "overloaded"})


async def test_a_side_that_was_not_even_asked_failed_the_request_too():
    made = compared(triton=failing(ServerError))
    for _ in range(5):
        await made.ask()
    offers = offered(made)
    await made.ask()
    assert offers[0].failed == {TRITON: "breaker_open"}


@pytest.mark.parametrize("fraction", [0.0, 1.0])
async def test_a_callers_own_error_is_offered_to_nobody(fraction):
    made = compared(legacy=failing(Refused), triton=failing(Refused), fraction=fraction)
    offers = offered(made)
    with pytest.raises(AllRefused):
        await made.ask()
    assert offers == made.told(ShadowDropped) == []


async def test_what_only_triton_was_shown_and_refuses_is_not_called_a_callers_error_yet():
    made = compared(triton=failing(Refused), fallback="none")
    offers = offered(made)
    with pytest.raises(AllRefused):
        await made.ask()
    assert offers[0].failed == {TRITON: "refused"}


async def test_a_diagnosis_is_compared_with_nothing():
    made = compared()
    offers = offered(made)
    await made.ask(force=LEGACY)
    assert offers == []


async def test_a_caller_who_hung_up_is_counted_as_a_comparison_that_was_not_made():
    made = compared(triton=FakeTransport().always(Hang()))
    offers = offered(made)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await made.ask()
    assert offers == []
    assert made.told(ShadowDropped) == [ShadowDropped(DETECTOR, "gone")]
    await settled(made)


async def test_a_fault_of_ours_is_counted_as_one_that_was_not_made():
    made = compared()
    offers = offered(made)
    made.lane(TRITON).ask = None
    with pytest.raises(TypeError):
        await made.ask()
    assert offers == []
    assert made.told(ShadowDropped) == [ShadowDropped(DETECTOR, "fault")]


async def test_each_image_of_a_batch_is_offered_by_itself():
    made = compared()
    offers = offered(made)
    await made.client.detect_batch([JPEG, JPEG + b"2"], detector=DETECTOR, about=RequestInfo("b"))
    assert [(one.request_id, one.image) for one in offers] == [("b-0", JPEG), ("b-1", JPEG + b"2")]
