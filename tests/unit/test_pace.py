"""How fast a side is, as seen from its callers: right for one at a time and for batches, and never a lock."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.services.headroom import Demand, headroom
from backend.services.pace import FORGOTTEN_S, LEAST_ANSWERS, Pace
from backend.services.typical import REMEMBERED, Typical
from tests.clocks import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def pace(clock: HandClock) -> Pace:
    return Pace(clock)


def answer(
    pace: Pace, clock: HandClock, times: int, each_s: float, waiting: int = 0, answered: bool = True
) -> None:
    """One after the other, with so many others that wait meanwhile."""
    for _ in range(waiting):
        pace.started()
    for _ in range(times):
        pace.started()
        clock.sleep(each_s)
        pace.ended(answered)
    for _ in range(waiting):
        pace.ended(False)


def test_a_side_that_nobody_has_asked_is_not_waited_for(pace: Pace) -> None:
    assert pace.capacity_per_s is None
    assert pace.wait_s(1000) == 0


def test_a_few_answers_say_nothing(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, LEAST_ANSWERS, each_s=0.1)  # the first only starts the count
    assert pace.capacity_per_s is None
    answer(pace, clock, 1, each_s=0.1)
    assert pace.capacity_per_s == pytest.approx(10, rel=0.01)


def test_one_at_a_time(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, 200, each_s=0.1, waiting=9)
    assert pace.capacity_per_s == pytest.approx(10, rel=0.01)
    assert pace.wait_s(9) == pytest.approx(1, rel=0.01)


def test_in_batches(pace: Pace, clock: HandClock) -> None:
    for _ in range(50):
        for _ in range(16):
            pace.started()
        clock.sleep(0.2)
        for _ in range(16):
            pace.ended(True)
    assert pace.capacity_per_s == pytest.approx(80, rel=0.05)


def test_a_first_batch_is_not_taken_for_a_wonder(pace: Pace, clock: HandClock) -> None:
    for _ in range(2):
        for _ in range(100):
            pace.started()
        clock.sleep(1)
        for _ in range(100):
            pace.ended(True)
    assert pace.capacity_per_s == pytest.approx(100, rel=0.1)


def test_however_slow_the_side_one_call_and_a_second_need_not_wait(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, 20, each_s=5)
    assert [pace.wait_s(in_flight) for in_flight in range(2)] == [0, 0]
    assert pace.wait_s(2) > 10


def test_time_in_which_nobody_asked_is_no_slowness(pace: Pace, clock: HandClock) -> None:
    for _ in range(100):
        answer(pace, clock, 1, each_s=0.1)
        clock.sleep(5)
    assert pace.capacity_per_s == pytest.approx(10, rel=0.01)


def test_what_is_recent_weighs_more(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, 1000, each_s=0.02)
    answer(pace, clock, 100, each_s=0.5)
    assert pace.capacity_per_s == pytest.approx(2, rel=0.5)


def test_failures_that_come_at_once_are_no_capacity(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, 100, each_s=0.1)
    answer(pace, clock, 10_000, each_s=0.001, answered=False)
    assert pace.capacity_per_s is not None
    assert pace.capacity_per_s < 10


def test_a_hang_slows_the_guess_and_is_then_forgotten(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, 100, each_s=0.1)
    for _ in range(8):
        pace.started()
    waits_s = []
    for _ in range(int(FORGOTTEN_S)):
        clock.sleep(1)
        waits_s.append(pace.wait_s(8))
    assert waits_s == sorted(waits_s)
    assert waits_s[-1] > 10 * waits_s[0]
    clock.sleep(1)
    assert (pace.capacity_per_s, pace.wait_s(8)) == (None, 0)


def test_after_a_hang_the_guess_begins_anew(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, 100, each_s=0.1)
    pace.started()
    clock.sleep(600)
    pace.ended(True)
    answer(pace, clock, 20, each_s=0.1)
    assert pace.capacity_per_s == pytest.approx(10, rel=0.05)


def test_a_guess_of_last_night_is_forgotten(pace: Pace, clock: HandClock) -> None:
    answer(pace, clock, 100, each_s=2)
    assert pace.wait_s(10) > 10
    clock.sleep(FORGOTTEN_S + 0.1)
    assert pace.wait_s(10) == 0


STEPS = st.lists(st.tuples(st.sampled_from(["start", "answer", "fail"]), st.floats(0, 40)), max_size=80)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_whatever_has_happened_the_side_can_be_asked_again(steps: list[tuple[str, float]]) -> None:
    clock = HandClock()
    pace, in_flight = Pace(clock), 0
    for step, seconds in steps:
        if step == "start":
            pace.started()
            in_flight += 1
        elif in_flight:
            pace.ended(step == "answer")
            in_flight -= 1
        assert pace.wait_s(0) == pace.wait_s(1) == 0
        assert 0 <= pace.wait_s(10) < float("inf")
        clock.sleep(seconds)
    clock.sleep(FORGOTTEN_S + 1)
    assert pace.wait_s(1000) == 0


def test_demand_is_what_is_asked_a_second_of_late() -> None:
    clock = HandClock()
    demand = Demand(clock)
    assert demand.per_s == 0
    for rate_per_s in (50, 5):
        for _ in range(60 * rate_per_s):
            demand.asked()
            clock.sleep(1 / rate_per_s)
        assert demand.per_s == pytest.approx(rate_per_s, rel=0.15)
    clock.sleep(600)
    assert demand.per_s < 0.001


def test_a_young_demand_is_neither_hidden_nor_blown_up() -> None:
    clock = HandClock()
    demand = Demand(clock)
    demand.asked()
    assert demand.per_s == 1
    for _ in range(29):
        clock.sleep(0.1)
        demand.asked()
    assert demand.per_s == pytest.approx(10, rel=0.15)


def test_headroom_is_capacity_over_demand_and_unknown_without_either() -> None:
    assert headroom(20, 10) == 2
    assert headroom(5, 10) == 0.5
    assert headroom(None, 10) is None
    assert headroom(20, 0) is None


def test_without_a_success_the_least_bound_holds() -> None:
    assert Typical(least_s=0.3).bound_s == 0.3


def test_the_bound_is_a_multiple_of_a_usual_success() -> None:
    typical = Typical(least_s=0.3)
    for duration_s in (0.2, 0.25, 0.3):
        typical.succeeded(duration_s)
    assert typical.bound_s == 1.0
    for _ in range(REMEMBERED):
        typical.succeeded(0.01)
    assert typical.bound_s == 0.3


def test_an_odd_answer_does_not_move_the_bound() -> None:
    typical = Typical(least_s=0.01)
    for _ in range(REMEMBERED):
        typical.succeeded(0.1)
    for _ in range(10):
        typical.succeeded(60)
    assert typical.bound_s == 0.4


def test_a_side_that_became_slower_is_believed_soon() -> None:
    typical = Typical(least_s=0.01)
    for _ in range(1000):
        typical.succeeded(0.1)
    for _ in range(REMEMBERED // 2 + 1):
        typical.succeeded(0.5)
    assert typical.bound_s == 2.0


def test_the_bound_is_that_of_the_middle_of_the_last_successes() -> None:
    random, typical, durations_s = Random(1), Typical(least_s=0.0), []
    for _ in range(300):
        durations_s.append(random.random())
        typical.succeeded(durations_s[-1])
        recent = sorted(durations_s[-REMEMBERED:])
        assert typical.bound_s == 4 * recent[len(recent) // 2]
