"""The breaker as a story (succeed, fail, pseudo-sleep), and against a model that remembers every result."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backend.observe.events import BreakerState
from backend.services.breaker import BUCKETS, PROBE_PAUSE_S, Breaker, BreakerPolicy
from tests.clocks import HandClock

POLICY = BreakerPolicy()


class Story:
    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.clock = HandClock()
        self.moves: list[BreakerState] = []
        self.breaker = Breaker(policy, self.clock, self.moves.append)

    def succeed(self, times: int = 1) -> None:
        for _ in range(times):
            self._end(True)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self._end(False)

    def _end(self, succeeded: bool) -> None:
        generation = self.breaker.admit()
        assert generation is not None
        self.breaker.ended(generation, succeeded)

    def probe(self, succeeded: bool | None) -> None:
        generation = self.breaker.probe()
        assert generation is not None
        self.breaker.probe_ended(generation, succeeded)

    def recover(self) -> None:
        self.clock.sleep(self.breaker.retry_after_s)
        for _ in range(POLICY.probes):
            self.probe(True)


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_new_breaker_is_closed_and_has_heard_nothing(story: Story) -> None:
    assert (story.breaker.state, story.breaker.retry_after_s, story.breaker.heard_at) == (
        "closed",
        0,
        -math.inf,
    )
    assert story.breaker.probe() is None
    assert story.moves == []


def test_five_failures_in_a_row_open_it(story: Story) -> None:
    story.fail(4)
    story.succeed()
    story.fail(4)
    assert story.breaker.state == "closed"
    story.fail()
    assert story.moves == ["open"]
    assert story.breaker.admit() is None


def test_failures_in_a_row_may_lie_far_apart(story: Story) -> None:
    for _ in range(5):
        story.clock.sleep(3600)
        story.fail()
    assert story.breaker.state == "open"


def test_half_of_twenty_open_it_though_never_five_in_a_row(story: Story) -> None:
    for _ in range(9):
        story.fail()
        story.succeed()
    story.fail()
    assert story.breaker.state == "closed"  # 19: too few to say
    story.succeed()
    assert story.breaker.state == "open"


def test_less_than_half_leave_it_closed(story: Story) -> None:
    for _ in range(100):
        story.succeed(5)
        story.fail(4)
    assert story.moves == []


def test_results_older_than_the_window_are_forgotten(story: Story) -> None:
    for _ in range(9):
        story.fail()
        story.succeed()
    story.clock.sleep(10)
    for _ in range(4):
        story.fail(2)
        story.succeed(2)
    assert story.breaker.state == "closed"
    story.clock.sleep(8)
    story.fail(4)  # 12 of 20 within 8 s
    assert story.breaker.state == "open"


def test_it_opens_for_five_seconds_and_longer_each_time_up_to_sixty(story: Story) -> None:
    story.fail(5)
    opened_s = []
    for _ in range(8):
        opened_s.append(story.breaker.retry_after_s)
        story.clock.sleep(story.breaker.retry_after_s)
        story.probe(False)
    assert opened_s == pytest.approx([5, 8, 12.8, 20.48, 32.768, 52.4288, 60, 60])


def test_no_probe_starts_before_the_open_time_is_over(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(4.99)
    assert story.breaker.probe() is None
    assert story.breaker.state == "open"
    story.clock.sleep(0.01)
    assert story.breaker.probe() is not None
    assert story.moves == ["open", "half_open"]


def test_one_probe_at_a_time_and_no_caller_until_three_have_succeeded(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(5)
    for _ in range(3):
        generation = story.breaker.probe()
        assert generation is not None
        assert story.breaker.probe() is None
        assert story.breaker.admit() is None
        story.breaker.probe_ended(generation, True)
    assert story.moves == ["open", "half_open", "closed"]
    story.succeed()


def test_successful_probes_do_not_add_up_over_a_failure(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(5)
    story.probe(True)
    story.probe(True)
    story.probe(False)
    assert story.moves == ["open", "half_open", "open"]
    story.clock.sleep(8)
    story.probe(True)
    story.probe(True)
    assert story.breaker.state == "half_open"
    story.probe(True)
    assert story.breaker.state == "closed"


def test_a_probe_that_says_nothing_frees_its_place_after_a_pause(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(5)
    story.probe(None)
    assert story.breaker.state == "half_open"
    assert story.breaker.probe() is None  # not at once: nobody is to be asked in a loop
    story.clock.sleep(PROBE_PAUSE_S)
    for _ in range(3):
        story.probe(True)
    assert story.breaker.state == "closed"


def test_a_probe_that_says_nothing_takes_no_success_away(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(5)
    story.probe(True)
    story.probe(True)
    story.probe(None)
    story.clock.sleep(PROBE_PAUSE_S)
    story.probe(True)
    assert story.breaker.state == "closed"


def test_a_result_of_an_older_generation_is_dropped(story: Story) -> None:
    old = story.breaker.admit()
    assert old is not None
    story.fail(5)
    story.breaker.ended(old, True)
    story.recover()
    heard_at = story.breaker.heard_at
    story.clock.sleep(1)
    for _ in range(50):
        story.breaker.ended(old, False)
    assert story.breaker.state == "closed"
    assert story.breaker.heard_at == heard_at


def test_a_probe_of_an_older_generation_is_dropped(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(5)
    old = story.breaker.probe()
    assert old is not None
    story.breaker.probe_ended(old, False)
    story.clock.sleep(8)
    assert story.breaker.probe() is not None
    story.breaker.probe_ended(old, False)
    assert story.breaker.state == "half_open"
    assert story.breaker.probe() is None  # the new one is still under way


def test_the_end_of_a_probe_counts_once(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(5)
    generation = story.breaker.probe()
    assert generation is not None
    for _ in range(3):
        story.breaker.probe_ended(generation, True)
    assert story.breaker.state == "half_open"


def test_a_side_that_flaps_is_waited_for_longer_each_time(story: Story) -> None:
    opened_s = []
    for _ in range(4):
        story.fail(5)
        opened_s.append(story.breaker.retry_after_s)
        story.recover()
        story.clock.sleep(10)
        story.succeed(100)
    assert opened_s == pytest.approx([5, 8, 12.8, 20.48])


def test_a_long_good_time_resets_the_growth(story: Story) -> None:
    for _ in range(4):
        story.fail(5)
        story.recover()
    story.clock.sleep(POLICY.open_max_s)
    story.fail(5)
    assert story.breaker.retry_after_s == 5


def test_what_was_before_it_opened_does_not_count_after_it_closed(story: Story) -> None:
    story.fail(4)
    story.succeed(6)
    story.fail(5)
    story.recover()
    story.fail(4)
    story.succeed(11)
    assert story.breaker.state == "closed"


def test_while_it_is_not_closed_nobody_is_told_to_come_back_at_once(story: Story) -> None:
    story.fail(5)
    story.clock.sleep(2)
    assert story.breaker.retry_after_s == 3
    story.clock.sleep(100)
    assert story.breaker.retry_after_s == PROBE_PAUSE_S
    story.breaker.probe()
    assert story.breaker.retry_after_s == PROBE_PAUSE_S


def test_every_result_that_counts_is_a_sign_of_having_heard_from_the_side(story: Story) -> None:
    def heard(act: Callable[[], object]) -> bool:
        story.clock.sleep(10)
        act()
        return story.breaker.heard_at == story.clock.now

    assert heard(story.succeed)
    assert heard(story.fail)
    assert not heard(story.breaker.admit)
    story.fail(4)
    assert not heard(lambda: story.probe(None))
    assert heard(lambda: story.probe(True))
    assert heard(lambda: story.probe(False))


def test_the_listener_sees_a_breaker_that_has_already_moved() -> None:
    seen: list[tuple[BreakerState, bool]] = []

    def look(to: BreakerState) -> None:
        seen.append((breaker.state, breaker.admit() is not None))
        assert breaker.probe() is None  # in the midst of the move no second probe slips in

    clock = HandClock()
    breaker = Breaker(BreakerPolicy(failures=1, probes=1), clock, look)
    breaker.ended(breaker.admit() or 0, False)
    clock.sleep(5)
    breaker.probe_ended(breaker.probe() or 0, True)
    assert seen == [("open", False), ("half_open", False), ("closed", True)]


def test_failures_beside_answers_count_in_the_share_and_not_in_the_row() -> None:
    breaker = Breaker(BreakerPolicy(failures=3, least=10), HandClock(), lambda _: None)
    for _ in range(9):
        breaker.ended(0, False, in_a_row=False)
    assert breaker.state == "closed"
    breaker.ended(0, False, in_a_row=False)
    assert breaker.state == "open"


class BreakerAgainstModel(RuleBasedStateMachine):
    """The model keeps every result with its time, and the state that each call was begun in."""

    policy = BreakerPolicy(
        failures=4, share=0.5, least=8, window_s=10, open_s=5, open_growth=2, open_max_s=20, probes=2
    )

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock(0)
        self.moves: list[BreakerState] = []
        self.breaker = Breaker(self.policy, self.clock, self.moves.append)
        self.calls: list[tuple[int, int]] = []  # generation as the breaker named it, moves made by then
        self.probe: int | None = None
        self.state: BreakerState = "closed"
        self.expected: list[BreakerState] = []
        self.results: list[tuple[float, bool, bool]] = []  # when, succeeded, in a row
        self.open_s, self.closed_at, self.probe_at, self.successes = 0.0, -math.inf, -math.inf, 0

    def move(self, to: BreakerState) -> None:
        self.state = to
        self.expected.append(to)

    def open(self) -> None:
        good_s = self.clock.now - self.closed_at if self.state == "closed" else 0
        self.open_s = 5 if good_s >= 20 else min(20, self.open_s * 2)
        self.probe_at = self.clock.now + self.open_s
        self.move("open")

    def is_too_bad(self) -> bool:
        bucket = int(self.clock.now // (10 / BUCKETS))
        recent = [ok for at, ok, _ in self.results if int(at // (10 / BUCKETS)) > bucket - BUCKETS]
        last = [ok for _, ok, in_a_row in self.results if ok or in_a_row][-4:]
        return last == [False] * 4 or (len(recent) >= 8 and recent.count(False) * 2 >= len(recent))

    @initialize(opened=st.booleans())
    def some_begin_with_a_fallen_side(self, opened: bool) -> None:
        for _ in range(4 if opened else 0):
            self.a_call_starts()
            self.a_call_ends(0, False)

    @rule(seconds=st.sampled_from([0.25, 1.0, 2.5, 5.0, 9.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    @rule()
    def a_call_starts(self) -> None:
        generation = self.breaker.admit()
        assert (generation is not None) == (self.state == "closed")
        if generation is not None:
            self.calls.append((generation, len(self.moves)))

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 100), succeeded=st.booleans(), in_a_row=st.booleans())
    def a_call_ends(self, which: int, succeeded: bool, in_a_row: bool = True) -> None:
        generation, moves = self.calls.pop(which % len(self.calls))
        self.breaker.ended(generation, succeeded, in_a_row)
        if moves == len(self.expected):
            self.results.append((self.clock.now, succeeded, in_a_row))
            if self.is_too_bad():
                self.open()

    @rule(results=st.lists(st.booleans(), min_size=1, max_size=10))
    def calls_one_after_the_other(self, results: list[bool]) -> None:
        for succeeded in results:
            self.a_call_starts()
            if self.calls:
                self.a_call_ends(len(self.calls) - 1, succeeded)

    @rule()
    def a_probe_starts(self) -> None:
        generation = self.breaker.probe()
        may = self.state != "closed" and self.probe is None and self.clock.now >= self.probe_at
        assert (generation is not None) == may
        if generation is not None:
            self.probe = generation
            if self.state == "open":
                self.successes = 0
                self.move("half_open")

    @precondition(lambda self: self.probe is not None)
    @rule(succeeded=st.sampled_from([True, True, False, None]))
    def a_probe_ends(self, succeeded: bool | None) -> None:
        generation, self.probe = self.probe, None
        assert generation is not None
        self.breaker.probe_ended(generation, succeeded)
        if succeeded is None:
            self.probe_at = self.clock.now + PROBE_PAUSE_S
        elif not succeeded:
            self.open()
        else:
            self.successes += 1
            if self.successes == 2:
                self.results.clear()
                self.closed_at = self.clock.now
                self.move("closed")

    @invariant()
    def agrees(self) -> None:
        assert self.breaker.state == self.state
        assert self.moves == self.expected
        assert (self.breaker.retry_after_s == 0) == (self.state == "closed")


BreakerAgainstModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBreakerAgainstModel = BreakerAgainstModel.TestCase
