"""One of several Tritons goes bad: who is asked, who is not, and when it is tried again."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backend.transports.ejection import EjectionPolicy, Rotation

A, B, C = "a:1", "b:1", "c:1"
POLICY = EjectionPolicy()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def two(clock):
    rotation = Rotation(POLICY, clock)
    rotation.show([A, B])
    return rotation


def call(rotation, bad=(), count=1):
    """Calls, one after the other; the bad ones fail. Who was asked."""
    asked = []
    for _ in range(count):
        turn = rotation.next()
        asked.append(turn.address)
        rotation.ended(turn, turn.address not in bad)
    return asked


def test_callers_take_turns(two):
    assert call(two, count=6) == [A, B, A, B, A, B]


def test_one_that_fails_three_times_in_a_row_gets_no_more_callers(two):
    asked = call(two, bad=[A], count=100)
    assert asked.count(A) == 3
    assert two.ejected == {A}


def test_a_success_between_the_failures_forgives_them(two):
    for _ in range(10):
        call(two, bad=[A], count=4)
        call(two, count=2)
    assert not two.ejected


def test_what_says_nothing_of_health_neither_counts_nor_forgives(two):
    for verdict in (False, None, False, None, False):
        turn = two.next()
        while turn.address != A:
            two.ended(turn, True)
            turn = two.next()
        two.ended(turn, verdict)
    assert two.ejected == {A}


def test_the_one_with_the_fewest_calls_under_way_is_asked(two):
    held = [two.next(), two.next(), two.next()]
    assert [turn.address for turn in held] == [A, B, A]
    assert two.next().address == B
    two.ended(held[0], True)
    two.ended(held[2], True)
    assert [two.next().address, two.next().address] == [A, A]


def test_one_whose_latest_call_failed_gets_one_call_at_a_time(two):
    call(two, bad=[A], count=2)
    asked = [two.next().address for _ in range(20)]
    assert asked.count(A) == 1


def test_the_last_one_is_never_ejected(two):
    call(two, bad=[A, B], count=50)
    assert len(two.ejected) == 1
    alone = Rotation(POLICY)
    alone.show([A])
    assert call(alone, bad=[A], count=50) == [A] * 50
    assert not alone.ejected


def test_the_last_bad_one_is_ejected_as_soon_as_another_is_well(two, clock):
    call(two, bad=[A, B], count=50)
    (gone,) = two.ejected
    (stayed,) = {A, B} - two.ejected
    clock.now += POLICY.wait_s
    assert two.probe() == gone
    two.probe_ended(gone, True)
    call(two, bad=[stayed], count=4)
    assert two.ejected == {stayed}


def test_it_is_probed_when_its_time_is_over_by_one_at_a_time_and_returns_when_that_succeeds(two, clock):
    call(two, bad=[A], count=10)
    assert two.probe() is None
    clock.now += POLICY.wait_s - 0.01
    assert two.probe() is None
    clock.now += 0.02
    assert two.probe() == A
    assert two.probe() is None
    assert call(two, count=4) == [B] * 4
    two.probe_ended(A, True)
    assert A in call(two, count=2)


def test_each_failed_probe_makes_it_wait_longer_up_to_the_most(two, clock):
    call(two, bad=[A], count=10)
    waits = []
    for _ in range(9):
        started = clock.now
        while two.probe() is None:
            clock.now += 0.01
        waits.append(clock.now - started)
        two.probe_ended(A, False)
    wanted = [min(5.0 * 1.6**n, 60.0) for n in range(9)]
    assert waits == pytest.approx(wanted, abs=0.05)


def test_a_probe_that_says_nothing_is_repeated_after_the_shortest_wait(two, clock):
    call(two, bad=[A], count=10)
    for _ in range(3):
        clock.now += POLICY.wait_s
        assert two.probe() == A
        two.probe_ended(A, None)
    assert two.ejected == {A}


def test_one_that_goes_bad_again_soon_waits_longer_and_after_a_long_good_time_as_at_first(two, clock):
    def wait():
        call(two, bad=[A], count=10)
        started = clock.now
        while two.probe() is None:
            clock.now += 0.01
        two.probe_ended(A, True)
        return clock.now - started

    first, soon = wait(), wait()
    clock.now += POLICY.wait_max_s + 1
    assert [first, soon, wait()] == pytest.approx([5, 8, 5], abs=0.05)


def test_a_call_from_before_the_ejection_is_no_evidence_after_it(two, clock):
    old = [two.next() for _ in range(12)]
    late = [turn for turn in old if turn.address == A]
    for turn in late[:3]:
        two.ended(turn, False)
    assert two.ejected == {A}
    clock.now += POLICY.wait_s
    two.probe()
    two.probe_ended(A, True)
    for turn in late[3:]:
        two.ended(turn, False)
    assert not two.ejected


def test_what_is_known_of_an_address_is_kept_while_it_is_there_and_forgotten_when_it_goes(two):
    call(two, bad=[A], count=10)
    two.show([A, B, C])
    assert two.ejected == {A}
    assert A not in call(two, count=10)
    two.show([B, C])
    two.show([A, B, C])
    assert A in call(two, count=3)


def test_when_only_ejected_ones_are_left_they_are_asked(two):
    call(two, bad=[A], count=10)
    two.show([A])
    assert call(two) == [A]


def test_the_end_of_a_call_to_an_address_that_is_gone_harms_nobody(two):
    turn = two.next()
    two.show([B])
    two.ended(turn, False)
    two.probe_ended(A, False)
    assert call(two) == [B]


class Calls(RuleBasedStateMachine):
    """Whatever happens, somebody can be asked, and nobody asks what is ejected while another is there."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.rotation = Rotation(POLICY, self.clock)
        self.there = [A, B]
        self.rotation.show(self.there)
        self.turns = []
        self.probes = []

    @rule()
    def asks(self):
        turn = self.rotation.next()
        assert turn.address in self.there
        assert turn.address not in self.rotation.ejected
        self.turns.append(turn)

    @precondition(lambda self: self.turns)
    @rule(which=st.integers(0, 100), succeeded=st.sampled_from([True, False, False, False, None]))
    def ends(self, which, succeeded):
        self.rotation.ended(self.turns.pop(which % len(self.turns)), succeeded)

    @rule(there=st.sets(st.sampled_from([A, B, C]), min_size=1))
    def moves(self, there):
        self.there = sorted(there)
        self.rotation.show(self.there)

    @rule(seconds=st.floats(0, 70))
    def waits(self, seconds):
        self.clock.now += seconds

    @rule()
    def probes_one(self):
        address = self.rotation.probe()
        if address is not None:
            assert address in self.rotation.ejected
            self.probes.append(address)

    @precondition(lambda self: self.probes)
    @rule(succeeded=st.sampled_from([True, False, None]))
    def probe_ends(self, succeeded):
        self.rotation.probe_ended(self.probes.pop(), succeeded)

    @invariant()
    def somebody_is_left(self):
        assert self.rotation.ejected < set(self.there)


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
