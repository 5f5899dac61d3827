"""Every request that is offered for a comparison ends as exactly one thing, within its bounds and the flags'."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, get_args

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
from backend.observe.events import Compared, DropReason, Event, ShadowDropped, Verdict
from backend.services.twin import Twin
from backend.shadow.pairs import Again, Offer, Saw
from backend.shadow.shadow import Shadow, ShadowLimits
from backend.sides import LEGACY, SIDES, TRITON, Side
from backend.transports.fake import A_DOG, FakeTransport, Hang
from tests.clocks import HandClock
from tests.http_servers import until

SAW = Saw(A_DOG.detections, "1", 0.01)
NOTHING = Saw(Detections((), 640, 480), "1", 0.01)
OFFER = Offer(
    "yolo26", "front", "r1", b"\xff\xd8 a picture", Thresholds(), LEGACY, saw={LEGACY: SAW}, failed={}
)
FROM_TRITON = replace(OFFER, decided=TRITON, saw={TRITON: SAW})
LIMITS = ShadowLimits(queue=64, queue_bytes=1_000_000, concurrency=2, timeout_s=5.0)
COUNTED = [Unavailable, DeadlineExceeded, ServerError, ModelNotFound, InvalidModelOutput]


class FakeJudge:
    """Compares by equality; asks legacy again if it is told to."""

    def __init__(self, asks_again: bool = False, error: Exception | None = None) -> None:
        self.asks_again = asks_again
        self.error = error
        self.again: list[Saw | None] = []

    async def judge(self, offer: Offer, legacy: Saw, triton: Saw | None, again: Again) -> Compared:
        if self.asks_again:
            self.again.append(await again())
        if self.error is not None:
            raise self.error
        if triton is None:
            return Compared(offer.detector, "triton_failed", offer.camera)
        same = legacy.detections == triton.detections
        return Compared(offer.detector, "same" if same else "different", offer.camera)


@dataclass
class House:
    """A shadow, with everything that it is told and asks in the test's hands."""

    answers: dict[Side, Any] = field(default_factory=dict)  # a Saw, an error, or a Hang
    judge: FakeJudge = field(default_factory=FakeJudge)
    limits: ShadowLimits = LIMITS
    off: set[Side] = field(default_factory=set)
    broken: set[Side] = field(default_factory=set)
    asked: list[Side] = field(default_factory=list)
    under_way: Counter[Side] = field(default_factory=Counter)
    most: Counter[Side] = field(default_factory=Counter)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shadow = Shadow(
            self.ask, lambda _, side: side not in self.broken, lambda side: side not in self.off, self.judge,
            self.events.append, self.limits, HandClock(),
        )  # fmt: skip

    async def ask(self, side: Side, offer: Offer) -> Saw:
        assert side not in self.off, "it was switched off"
        self.asked.append(side)
        self.under_way[side] += 1
        self.most[side] = max(self.most[side], self.under_way[side])
        try:
            await asyncio.sleep(0)
            answer = self.answers.get(side, SAW)
            if isinstance(answer, Hang):
                await answer.wait()
                return SAW
            if isinstance(answer, Saw):
                return answer
            raise type(answer)(*answer.args)
        finally:
            self.under_way[side] -= 1

    @property
    def ends(self) -> list[str]:
        return [end_of(event) for event in self.events]

    async def ended(self, count: int) -> None:
        await until(lambda: len(self.events) >= count, f"only {self.ends} of {count}")


def end_of(event: Event) -> str:
    assert isinstance(event, Compared | ShadowDropped), event
    return event.verdict if isinstance(event, Compared) else f"dropped {event.reason}"


@asynccontextmanager
async def running(**what: Any) -> AsyncIterator[House]:
    house = House(**what)
    work = asyncio.create_task(house.shadow.run())
    await asyncio.sleep(0)
    try:
        yield house
    finally:
        house.shadow._limits = replace(house.limits, close_s=0.01)
        await house.shadow.close()
        await work


async def end_alone(offer: Offer, **what: Any) -> tuple[str, list[Side]]:
    """How one offer ends, and who was asked for it."""
    async with running(**what) as house:
        house.shadow.offer(offer)
        await house.ended(1)
    assert len(house.events) == 1
    return house.ends[0], house.asked


# --- what becomes of an offer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("offer", [OFFER, FROM_TRITON])
async def test_the_side_that_has_not_seen_the_picture_is_asked_and_both_are_judged(offer):
    other = TRITON if offer is OFFER else LEGACY
    assert await end_alone(offer) == ("same", [other])
    assert await end_alone(offer, answers={other: NOTHING}) == ("different", [other])


@pytest.mark.parametrize("kind", [*COUNTED, Refused])
async def test_a_triton_that_gives_no_answer_has_failed_the_comparison(kind):
    assert (await end_alone(OFFER, answers={TRITON: kind("planned")}))[0] == "triton_failed"


@pytest.mark.parametrize("kind", [*COUNTED, Refused])
async def test_without_an_answer_of_legacys_there_is_nothing_to_hold_triton_against(kind):
    assert (await end_alone(FROM_TRITON, answers={LEGACY: kind("planned")}))[0] == "legacy_failed"


@pytest.mark.parametrize("offer", [OFFER, FROM_TRITON])
async def test_a_side_that_has_enough_to_do_with_callers_is_no_failure(offer):
    full = {LEGACY: Overloaded("full"), TRITON: Overloaded("full")}
    assert (await end_alone(offer, answers=full))[0] == "dropped overloaded"


KNOWN = [
    # decided, who saw it, who failed it, how it ends, who is asked
    (TRITON, [LEGACY], {TRITON: "server_error"}, "triton_failed", []),
    (TRITON, [LEGACY], {TRITON: "breaker_open"}, "triton_failed", []),
    (TRITON, [LEGACY], {TRITON: "flag_changed"}, "dropped flag_changed", []),
    (TRITON, [], {TRITON: "server_error"}, "triton_failed", [LEGACY]),
    (TRITON, [], {TRITON: "server_error", LEGACY: "full"}, "triton_failed", []),
    (TRITON, [], {TRITON: "flag_changed", LEGACY: "full"}, "dropped flag_changed", []),
    (LEGACY, [TRITON], {LEGACY: "server_error"}, "legacy_failed", []),
    (LEGACY, [], {LEGACY: "server_error"}, "legacy_failed", []),
    (LEGACY, [], {LEGACY: "server_error", TRITON: "flag_changed"}, "legacy_failed", []),
]


@pytest.mark.parametrize(("decided", "saw", "failed", "end", "asked"), KNOWN)
async def test_who_failed_a_caller_has_failed_the_comparison_and_is_not_asked_again(
    decided, saw, failed, end, asked
):
    offer = replace(OFFER, decided=decided, saw=dict.fromkeys(saw, SAW), failed=failed)
    assert await end_alone(offer) == (end, asked)


async def test_a_picture_that_only_triton_was_shown_is_the_callers_mistake_if_legacy_refuses_it_too():
    offer = replace(FROM_TRITON, saw={}, failed={TRITON: "refused"})
    assert (await end_alone(offer, answers={LEGACY: Refused("planned")}))[0] == "dropped refused"
    assert (await end_alone(offer, answers={LEGACY: ServerError("planned")}))[0] == "triton_failed"
    assert (await end_alone(offer))[0] == "triton_failed"


@pytest.mark.parametrize("answer", [SAW, ServerError("planned"), Overloaded("planned")])
async def test_the_judge_may_ask_legacy_once_more_and_hears_nothing_where_that_fails(answer):
    judge = FakeJudge(asks_again=True)
    assert await end_alone(OFFER, judge=judge, answers={LEGACY: answer}) == ("same", [TRITON, LEGACY])
    assert judge.again == [answer if answer is SAW else None]


async def test_a_legacy_that_is_not_well_is_not_asked_once_more():
    judge = FakeJudge(asks_again=True)
    assert await end_alone(OFFER, judge=judge, broken={LEGACY}) == ("same", [TRITON])
    assert judge.again == [None]


async def test_a_call_has_its_time_and_no_more():
    limits = replace(LIMITS, timeout_s=0.05)
    hung = {LEGACY: Hang(), TRITON: Hang()}
    assert (await end_alone(OFFER, answers=hung, limits=limits))[0] == "triton_failed"
    assert (await end_alone(FROM_TRITON, answers=hung, limits=limits))[0] == "legacy_failed"


async def test_a_judge_that_breaks_drops_what_it_judged_and_is_heard_of_once(caplog):
    async with running(judge=FakeJudge(error=ZeroDivisionError("planned"))) as house:
        with caplog.at_level(logging.ERROR):
            for _ in range(20):
                house.shadow.offer(OFFER)
            await house.ended(20)
        assert house.ends == ["dropped fault"] * 20
        assert [bool(record.exc_info) for record in caplog.records] == [True]


async def test_a_transport_that_breaks_its_contract_is_a_fault_and_ends_nothing_else():
    async with running(answers={TRITON: ZeroDivisionError("planned")}) as house:
        house.shadow.offer(OFFER)
        await house.ended(1)
        house.answers.clear()
        house.shadow.offer(OFFER)
        await house.ended(2)
    assert house.ends == ["dropped fault", "same"]


async def test_an_offer_that_makes_no_sense_hurts_nobody():
    async with running() as house:
        house.shadow.offer(replace(OFFER, image=None))  # type: ignore[arg-type]
    assert house.ends == ["dropped fault"]


async def test_whatever_becomes_of_an_offer_it_is_told_with_the_flags_that_decided_it():
    async with running() as house:
        house.shadow.offer(replace(OFFER, flag_version=7))
        await house.ended(1)
        house.shadow.offer(replace(OFFER, flag_version=8, saw={}, failed={LEGACY: "full"}))
        house.broken.add(TRITON)
        house.shadow.offer(replace(OFFER, flag_version=9))
        house.off.add(TRITON)
        house.shadow.offer(replace(FROM_TRITON, flag_version=10))
        await house.ended(4)
    assert [event.flag_version for event in house.events] == [7, 8, 9, 10]
    assert house.ends == ["same", "legacy_failed", "dropped unavailable", "dropped flag_changed"]


# --- bounds -----------------------------------------------------------------------------------------------------


async def test_a_full_queue_drops_what_comes_last():
    hang = Hang()
    async with running(answers={TRITON: hang}, limits=replace(LIMITS, queue=3)) as house:
        for _ in range(LIMITS.concurrency):
            house.shadow.offer(OFFER)
        await until(lambda: len(house.asked) == LIMITS.concurrency, "nobody was asked")
        for number in range(5):
            house.shadow.offer(replace(OFFER, camera=f"camera {number}"))
        assert house.ends == ["dropped queue_full"] * 2
        hang.release()
        await house.ended(7)
        assert [event.camera for event in house.events[4:]] == [f"camera {number}" for number in range(3)]


async def test_pictures_hold_no_more_memory_than_they_may_and_give_it_back():
    hang, large = Hang(), replace(OFFER, image=bytes(400_000))
    async with running(answers={TRITON: hang}) as house:
        for _ in range(5):
            house.shadow.offer(large)
            assert house.shadow.held_bytes <= LIMITS.queue_bytes
        assert house.ends == ["dropped bytes_full"] * 3
        house.shadow.offer(OFFER)
        hang.release()
        await house.ended(6)
        assert house.ends[3:] == ["same"] * 3
        assert house.shadow.held_bytes == 0


async def test_a_side_is_asked_so_many_things_at_once_and_no_more_the_second_question_to_legacy_included():
    judge = FakeJudge(asks_again=True)
    async with running(judge=judge) as house:
        for number in range(30):
            house.shadow.offer(FROM_TRITON if number % 2 else OFFER)
        await house.ended(30)
    assert house.most == {LEGACY: LIMITS.concurrency, TRITON: LIMITS.concurrency}


async def test_a_side_that_hangs_keeps_nothing_waiting_that_needs_the_other():
    async with running(answers={TRITON: Hang()}) as house:
        for _ in range(10):
            house.shadow.offer(OFFER)
        house.shadow.offer(FROM_TRITON)
        await house.ended(1)
        assert house.ends == ["same"]


# --- the flag and the breaker -----------------------------------------------------------------------------------


async def test_nothing_waits_for_a_side_whose_breaker_is_open():
    async with running(broken={TRITON}) as house:
        house.shadow.offer(OFFER)
        assert house.ends == ["dropped unavailable"]
        house.shadow.offer(FROM_TRITON)
        await house.ended(2)
    assert house.ends[1:] == ["same"]
    assert house.asked == [LEGACY]


async def test_a_breaker_that_opens_meanwhile_is_seen_before_the_call():
    hang = Hang()
    async with running(answers={TRITON: hang}) as house:
        for _ in range(5):
            house.shadow.offer(OFFER)
        await until(lambda: len(house.asked) == LIMITS.concurrency, "nobody was asked")
        house.broken.add(TRITON)
        hang.release()
        await house.ended(5)
    assert Counter(house.ends) == {"same": 2, "dropped unavailable": 3}


async def test_a_triton_that_is_switched_off_is_let_go_of_and_never_asked_again():
    async with running(answers={TRITON: Hang()}) as house:
        for _ in range(10):
            house.shadow.offer(OFFER)
        await until(lambda: house.under_way[TRITON] == LIMITS.concurrency, "nobody was asked")
        house.off.add(TRITON)
        house.shadow.offer(OFFER)
        await house.ended(11)
        assert house.under_way[TRITON] == 0
    assert house.ends == ["dropped flag_changed"] * 11
    assert house.asked == [TRITON] * LIMITS.concurrency


async def test_what_a_triton_says_that_was_switched_off_meanwhile_is_no_failure_of_its():
    async with running() as house:

        async def cut_off(side: Side, offer: Offer) -> Saw:
            house.off.add(TRITON)
            raise Unavailable("put to rest")

        house.shadow._ask = cut_off
        house.shadow.offer(OFFER)
        await house.ended(1)
    assert house.ends == ["dropped flag_changed"]


async def test_with_triton_off_what_waits_for_legacy_is_dropped_as_well():
    hang = Hang()
    async with running(answers={LEGACY: hang}) as house:
        for _ in range(6):
            house.shadow.offer(FROM_TRITON)
        await until(lambda: len(house.asked) == LIMITS.concurrency, "nobody was asked")
        house.off.add(TRITON)
        hang.release()
        await house.ended(6)
    assert Counter(house.ends) == {"same": 2, "dropped flag_changed": 4}


# --- the end ----------------------------------------------------------------------------------------------------


async def test_what_waits_at_the_end_is_compared_while_there_is_time():
    async with running(limits=replace(LIMITS, close_s=60.0)) as house:
        for _ in range(20):
            house.shadow.offer(OFFER)
        async with asyncio.timeout(10):
            await house.shadow.close()
        assert house.ends == ["same"] * 20
        house.shadow.offer(OFFER)
        assert house.ends[20:] == ["dropped closing"]


@pytest.mark.parametrize("is_running", [True, False])
async def test_what_is_left_then_is_dropped(is_running):
    house = House(answers={TRITON: Hang()}, limits=replace(LIMITS, close_s=0.05))
    work = asyncio.create_task(house.shadow.run())
    for _ in range(20):
        house.shadow.offer(OFFER)
    await until(lambda: house.under_way[TRITON] == LIMITS.concurrency, "nobody was asked")
    if not is_running:
        work.cancel()
    async with asyncio.timeout(5):
        await house.shadow.close()
    await asyncio.gather(work, return_exceptions=True)
    assert house.ends == ["dropped closing"] * 20
    assert house.under_way[TRITON] == 0
    assert house.shadow.held_bytes == 0


async def test_one_that_never_ran_ends_at_once():
    house = House()
    house.shadow.offer(OFFER)
    await house.shadow.close()
    assert house.ends == ["dropped closing"]
    async with asyncio.timeout(5):
        await house.shadow.run()


# --- whatever happens -------------------------------------------------------------------------------------------

answers = st.sampled_from(
    [SAW, NOTHING, "hangs", ZeroDivisionError("planned"), Overloaded("planned"), Refused("planned")]
    + [kind("planned") for kind in COUNTED]
)
outcomes = st.one_of(st.none(), st.sampled_from(["server_error", "breaker_open", "refused", "flag_changed"]))


@st.composite
def offers(draw: Callable[..., Any]) -> Offer:
    """Whatever a request may have come to: one side answered, or failed, or was never asked."""
    served = draw(st.sampled_from([None, *SIDES]))
    failed = {side: reason for side in SIDES if side != served and (reason := draw(outcomes))}
    image = bytes(draw(st.integers(1, 60)))
    saw = {served: SAW} if served else {}
    return replace(OFFER, decided=draw(st.sampled_from(SIDES)), saw=saw, failed=failed, image=image)


moves = st.sampled_from(["pause", "triton off", "triton on", "breaks", "mends"])


@given(
    st.lists(st.one_of(offers(), offers(), moves), min_size=30, max_size=60),
    st.lists(answers, min_size=1, max_size=20),
    st.booleans(),
    st.sampled_from([None, None, ValueError("planned")]),
)
@settings(max_examples=80, deadline=None)
def test_the_four_ends_add_up_to_what_was_offered(script, told, asks_again, error):
    asyncio.run(adds_up(script, told, FakeJudge(asks_again, error)))


async def adds_up(script: list[Any], told: list[Any], judge: FakeJudge) -> None:
    limits = ShadowLimits(queue=8, queue_bytes=300, concurrency=2, timeout_s=0.003, close_s=0.02)
    house = House(judge=judge, limits=limits)
    turns = iter(told * 100)
    inner = house.ask

    async def ask(side: Side, offer: Offer) -> Saw:
        answer = next(turns)
        house.answers[side] = Hang() if answer == "hangs" else answer
        return await inner(side, offer)

    house.shadow._ask = ask
    work = asyncio.create_task(house.shadow.run())
    await asyncio.sleep(0)
    offered = 0
    for step in script:
        if isinstance(step, Offer):
            house.shadow.offer(step)
            offered += 1
            assert house.shadow.held_bytes <= limits.queue_bytes
        elif step == "pause":
            await asyncio.sleep(0.001)
        else:
            {
                "triton off": house.off.add, "triton on": house.off.discard,
                "breaks": house.broken.add, "mends": house.broken.discard,
            }[step](TRITON)  # fmt: skip
    await house.shadow.close()
    await work
    ends = Counter(house.ends)
    verdicts = {*get_args(Verdict)}
    dropped = {f"dropped {reason}" for reason in get_args(DropReason)}
    assert set(ends) <= verdicts | dropped
    assert ends.total() == offered
    assert house.shadow.held_bytes == 0
    assert house.under_way.total() == 0


# --- the twin ---------------------------------------------------------------------------------------------------


async def test_a_twin_goes_over_the_wire_after_all_callers_and_carries_nothing_of_theirs():
    clock = HandClock()

    class Slow(FakeTransport):
        async def detect(self, ask: Any) -> Any:
            clock.sleep(0.25)
            return await super().detect(ask)

    triton = Slow()
    saw = await Twin({TRITON: triton}, 10.0, clock)(TRITON, OFFER)
    assert saw == Saw(A_DOG.detections, "1", 0.25)
    asked = triton.asked[0]
    assert (asked.detector, asked.image, asked.media_type) == ("yolo26", OFFER.image, "image/jpeg")
    assert (asked.timeout_s, asked.priority) == (10.0, 2)
    assert (asked.request_id, dict(asked.headers)) == ("r1-shadow", {})


@pytest.mark.parametrize("kind", [*COUNTED, Overloaded, Refused])
async def test_a_twin_fails_as_its_side_fails(kind: type[BackendError]):
    with pytest.raises(kind):
        await Twin({LEGACY: FakeTransport().always(kind("planned"))}, 10.0)(LEGACY, OFFER)
