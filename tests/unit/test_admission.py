"""Who gets a place: simulated cameras at a side that is too slow for them, and a bookkeeper that checks every step."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backend.services.admission import PATIENCE_S, REMEMBERED, RESERVED_S, Admission
from tests.clocks import HandClock

CAMERAS = [f"camera {number}" for number in range(30)]


@dataclass
class Seen:
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def spread(self, cameras: list[str]) -> float:
        answered = [self.answered[camera] for camera in cameras]
        return max(answered) / max(1, *[min(answered)])


@dataclass
class Simulation:
    """Cameras that ask at their own rate, whatever they are answered, and a side with a capacity."""

    per_s: Mapping[str, float]
    capacity_per_s: float = 20
    limit: int = 8
    seconds: float = 60
    one_at_a_time: bool = True  # or all that are in flight at once, each slowly
    jitter: float = 0.3
    named: Callable[[str], str] = str
    seed: int = 1

    def run(self) -> Seen:
        clock, random, order, seen = HandClock(0), Random(self.seed), count(), Seen()
        admission = Admission(self.limit, clock)
        events = [(random.random() / rate, next(order), camera, "") for camera, rate in self.per_s.items()]
        heapq.heapify(events)
        free_at = 0.0
        while events and events[0][0] < self.seconds:
            clock.now, _, camera, inside = heapq.heappop(events)
            if inside:
                admission.leave(inside)
                seen.answered[camera] += 1
                continue
            pause_s = (1 + self.jitter * (2 * random.random() - 1)) / self.per_s[camera]
            heapq.heappush(events, (clock.now + pause_s, next(order), camera, ""))
            seen.asked[camera] += 1
            name = self.named(camera)
            if admission.refusal(name):
                seen.refused[camera] += 1
                continue
            admission.enter(name)
            assert admission.count <= self.limit
            free_at = max(free_at, clock.now) + 1 / self.capacity_per_s
            ends_at = free_at if self.one_at_a_time else clock.now + self.limit / self.capacity_per_s
            heapq.heappush(events, (ends_at, next(order), camera, name))
        return seen


def filled(places: int, camera: str, clock: HandClock | None = None, limit: int | None = None) -> Admission:
    """Cameras a and b are known from earlier; now one of them has all the places."""
    clock = clock or HandClock()
    admission = Admission(limit or places, clock)
    for known in "ababa":
        assert admission.refusal(known) is None
        clock.sleep(10)
    for _ in range(places):
        assert admission.refusal(camera, places) is None
        admission.enter(camera)
    return admission


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("one_at_a_time", [True, False])
def test_thirty_cameras_at_a_side_that_can_answer_a_fifteenth_are_answered_evenly(
    one_at_a_time: bool, seed: int
) -> None:
    seen = Simulation(dict.fromkeys(CAMERAS, 10.0), one_at_a_time=one_at_a_time, seed=seed).run()
    assert seen.spread(CAMERAS) <= 1.5
    assert seen.answered.total() >= 0.95 * 20 * 60


def test_cameras_that_ask_in_lockstep_do_not_starve_one_another() -> None:
    """Without jitter the same camera would always be the first after a place was freed."""
    seen = Simulation(dict.fromkeys(CAMERAS, 10.0), jitter=0).run()
    assert min(seen.answered[camera] for camera in CAMERAS) >= 0.75 * 20 * 60 / 30


@pytest.mark.parametrize("one_at_a_time", [True, False])
def test_who_asks_ten_times_as_often_gets_about_the_same(one_at_a_time: bool) -> None:
    greedy = CAMERAS[0]
    seen = Simulation(
        dict.fromkeys(CAMERAS, 10.0) | {greedy: 100.0}, one_at_a_time=one_at_a_time, seconds=120
    ).run()
    assert seen.answered[greedy] <= 2 * 20 * 120 / 30
    assert seen.answered.total() >= 0.92 * 20 * 120
    assert seen.spread(CAMERAS[1:]) <= 1.5


def test_who_asks_for_less_than_its_share_gets_nearly_all_of_it() -> None:
    seen = Simulation({"greedy": 100.0, "modest": 5.0}, seconds=120).run()
    assert seen.refused["modest"] <= 0.15 * seen.asked["modest"]
    assert seen.answered.total() >= 0.95 * 20 * 120  # and nothing lies idle for it


def test_cameras_that_ask_seldom_find_a_place_beside_a_greedy_one() -> None:
    seldom = CAMERAS[:10]
    seen = Simulation(dict.fromkeys(seldom, 0.2) | {"greedy": 100.0}, limit=64, seconds=300).run()
    for camera in seldom:
        assert seen.refused[camera] <= 0.2 * seen.asked[camera]
    assert seen.answered.total() >= 0.95 * 20 * 300


@pytest.mark.parametrize("per_s", [0.8, 1.0, 3.0])
def test_sharing_does_not_leave_the_side_idle(per_s: float) -> None:
    seen = Simulation(dict.fromkeys(CAMERAS, per_s)).run()
    assert seen.answered.total() >= 0.95 * 20 * 60
    assert seen.spread(CAMERAS) <= 2


def test_while_there_is_enough_for_all_nobody_is_refused() -> None:
    seen = Simulation(dict.fromkeys(CAMERAS, 0.5), limit=64).run()
    assert seen.asked.total() > 800
    assert seen.refused.total() == 0


def test_a_lone_camera_may_use_everything() -> None:
    seen = Simulation({"lone": 100.0}).run()
    assert seen.answered["lone"] >= 0.98 * 20 * 60


def test_a_new_name_for_each_request_gets_one_cameras_share() -> None:
    names = count()
    seen = Simulation(
        dict.fromkeys(CAMERAS, 5.0) | {"inventor": 500.0},
        named=lambda camera: f"invented {next(names)}" if camera == "inventor" else camera,
    ).run()
    assert next(names) > REMEMBERED * 4
    assert seen.answered["inventor"] <= 3 * 20 * 60 / 31
    assert seen.spread(CAMERAS) <= 1.5
    assert min(seen.answered[camera] for camera in CAMERAS) >= 0.7 * 20 * 60 / 31


def test_invented_names_are_forgotten() -> None:
    admission = filled(2, "camera")
    for number in range(10 * REMEMBERED):
        admission.refusal(f"once {number}")
        admission.refusal(f"twice {number}")
        admission.refusal(f"twice {number}")
    assert sum(len(names) for names in _dicts_in(admission)) <= 4 * REMEMBERED + 2


def _dicts_in(thing: object) -> Iterator[dict[str, object]]:
    for part in vars(thing).values():
        if isinstance(part, dict):
            yield part
        elif hasattr(part, "__dict__"):
            yield from _dicts_in(part)


def test_full_means_no_place_and_share_means_that_somebody_else_has_the_next_turn() -> None:
    admission = filled(4, "a")
    assert admission.refusal("b") == "full"
    admission.leave("a")
    assert admission.refusal("a") == "share"
    assert admission.refusal("b") is None


def test_nobody_is_waited_for_in_vain() -> None:
    clock = HandClock()
    admission = filled(4, "a", clock)
    admission.refusal("b")
    admission.leave("a")
    assert admission.refusal("a") == "share"
    clock.sleep(PATIENCE_S + RESERVED_S)
    assert admission.refusal("a") is None


def test_beside_those_waited_for_the_reserve_is_kept_and_the_rest_is_anybodys() -> None:
    admission = filled(8, "a")
    assert admission.refusal("b") == "full"  # it is waited for, and one place more is kept from now on
    for _ in range(3):
        admission.leave("a")
    assert admission.refusal("a") is None
    admission.enter("a")
    assert admission.refusal("a") == "share"
    assert admission.refusal("b") is None
    admission.enter("b")
    assert admission.refusal("a") == "share"  # the reserve
    admission.leave("a")
    assert admission.refusal("a") is None


def test_half_of_the_places_are_never_kept_for_those_waited_for() -> None:
    """They may not come back, and a side that stands idle meanwhile serves nobody."""
    clock = HandClock()
    admission = Admission(8, clock)
    others = "bcdefghi"
    for camera in (*others, *others):
        admission.refusal(camera)
    clock.sleep(0.5)
    for _ in range(8):
        assert admission.refusal("a") is None
        admission.enter("a")
    assert {admission.refusal(camera) for camera in others} == {"full"}
    for _ in range(5):
        admission.leave("a")
    assert admission.refusal("a") is None


def test_nothing_is_kept_for_a_camera_that_was_served_a_moment_ago() -> None:
    clock = HandClock()
    admission = filled(1, "b", clock, limit=8)
    for _ in range(7):
        assert admission.refusal("a") is None
        admission.enter("a")
    assert admission.refusal("b") == "full"
    clock.sleep(PATIENCE_S + 0.1)
    admission.leave("a")
    assert admission.refusal("a") is None


def test_the_reserve_is_given_up_when_nobody_has_needed_it_for_a_while() -> None:
    clock = HandClock()
    admission = filled(8, "a", clock)
    assert admission.refusal("b") == "full"
    admission.leave("a")
    for _ in range(int(RESERVED_S) - 1):
        clock.sleep(1)
        assert admission.refusal("a") == "share"
    clock.sleep(1)
    assert admission.refusal("a") is None


def test_fewer_places_for_the_moment_are_shared_in_the_same_way() -> None:
    admission = filled(4, "a", limit=64)
    assert admission.refusal("b", places=4) == "full"
    admission.leave("a")
    assert admission.refusal("a", places=4) == "share"
    assert admission.refusal("b", places=4) is None
    assert admission.refusal("a", places=1000) is None  # there is nothing to share among so many


def test_who_leaves_without_a_place_is_told_so() -> None:
    admission = filled(1, "a")
    with pytest.raises(KeyError):
        admission.leave("b")
    assert admission.count == 1
    admission.leave("a")
    with pytest.raises(KeyError):
        admission.leave("a")
    assert admission.count == 0


class AdmissionAgainstBookkeeper(RuleBasedStateMachine):
    """The bookkeeper keeps a list of who is inside, and of who was turned away at which time."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 5
        self.clock = HandClock(0)
        self.admission = Admission(self.limit, self.clock)
        self.inside: list[str] = []
        self.turned_away_at: dict[str, float] = {}

    @rule(camera=st.sampled_from("abcdefgh"), times=st.integers(1, 6))
    def asks(self, camera: str, times: int) -> None:
        for _ in range(times):
            refusal = self.admission.refusal(camera)
            free = self.limit - len(self.inside)
            assert (refusal == "full") == (free == 0)
            if free == self.limit:
                assert refusal is None, "nobody is refused by an idle side"
            if refusal == "share":
                assert self.contended(), "nobody was turned away: there is nobody to yield to"
            if refusal is None:
                self.admission.enter(camera)
                self.inside.append(camera)
                self.turned_away_at.pop(camera, None)
            else:
                self.turned_away_at[camera] = self.clock.now

    def contended(self) -> bool:
        return bool(self.turned_away_at) or self.clock.now < self.reserved_until

    reserved_until = 0.0

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0, 100))
    def leaves(self, which: int) -> None:
        self.admission.leave(self.inside.pop(which % len(self.inside)))

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, PATIENCE_S + 0.1]))
    def time_passes(self, seconds: float) -> None:
        if self.turned_away_at:
            self.reserved_until = max(self.turned_away_at.values()) + RESERVED_S
        self.clock.sleep(seconds)
        for camera, at in list(self.turned_away_at.items()):
            if self.clock.now - at > PATIENCE_S:
                del self.turned_away_at[camera]

    @invariant()
    def counts(self) -> None:
        assert self.admission.count == len(self.inside) <= self.limit


AdmissionAgainstBookkeeper.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None
)
TestAdmissionAgainstBookkeeper = AdmissionAgainstBookkeeper.TestCase
