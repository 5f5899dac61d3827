"""Breaker, retry budget, deadline, admission and flags together, against a plain model of what is promised.

The real client, prober and comparisons run over scripted sides, in a time that passes when the machine says so, and
whatever happens is held against `tests/policy_promises.py`. Far more of it, and every mutant:

    CROSSFADE_LONG=1 pytest --timeout 3600 tests/unit/test_policies_together.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from backend.rollout.flags import View
from backend.rollout.state import RolloutState
from backend.services.errors import TooBusy
from backend.sides import LEGACY, SIDES, TRITON
from tests.policy_mutants import MUTANTS, QUICKLY_FOUND
from tests.policy_records import Setup
from tests.policy_world import BROKEN, ERRORS, HELD, SCORES, Mood, World, said

LONG = "CROSSFADE_LONG" in os.environ
FRACTIONS = st.sampled_from([0.0, 0.5, 1.0])
CAMERAS = st.sampled_from([None, "gate", "yard"])
MOODS = st.builds(
    Mood,
    st.sampled_from([*SCORES, *ERRORS, "unavailable", "server_error", HELD, HELD, BROKEN]),
    st.sampled_from([0.0, 0.0, 0.01, 0.25, 1.5]),
)
SETUPS = st.builds(
    lambda sides, **others: Setup(*sides, **others),
    st.sampled_from(
        [("legacy", True), ("legacy", True), ("both", True), ("none", True), ("none", False), ("both", False)]
    ),
    max_retries=st.sampled_from([3, 1, 0]),
    budget_share=st.sampled_from([0.2, 0.02]),
    budget_per_s=st.sampled_from([10.0, 0.1]),
    places=st.sampled_from([3, 8]),
    triton_timeout_s=st.sampled_from([60.0, 0.6]),
)


class PoliciesTogether(RuleBasedStateMachine):
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.wall_s = 1e9
        self.real_time, time.time = time.time, lambda: self.wall_s

    @initialize(
        setup=SETUPS, fraction=FRACTIONS, shadow=FRACTIONS, known=st.sampled_from([True] * 7 + [False])
    )
    def it_begins(self, setup: Setup, fraction: float, shadow: float, known: bool) -> None:
        state = RolloutState(version=1, fraction=fraction, shadow=shadow) if known else None
        self.world = World(setup, View(state, legacy_enabled=setup.legacy_enabled))

    # --- callers ------------------------------------------------------------------------------------------

    @rule(
        detector=st.sampled_from(["yolo26", "yolo26", "yolo26", "rtdetr"]), camera=CAMERAS,
        patience_s=st.sampled_from([5.0, 5.0, 30.0, 1.0, 0.1, 0.0005, -1.0]),
        force=st.sampled_from([None, None, None, None, *SIDES]),
        crowd=st.sampled_from([1, 1, 1, 2, 5, 12]),
    )  # fmt: skip
    def requests_arrive(self, detector: str, camera: Any, patience_s: float, force: Any, crowd: int) -> None:
        for _ in range(crowd):
            self.world.arrive(detector, camera, patience_s, force)
        self.world.settle()

    @rule(times=st.integers(3, 8), every_s=st.sampled_from([0.0, 0.05, 0.4]))
    def requests_one_after_the_other(self, times: int, every_s: float) -> None:
        for _ in range(times):
            self.world.arrive("yolo26", None, 5.0, None)
            self.world.advance(every_s)

    @precondition(lambda self: self.waiting())
    @rule(which=st.integers(0, 50))
    def a_caller_hangs_up(self, which: int) -> None:
        waiting = self.waiting()
        caller = waiting[which % len(waiting)]
        caller.left_at = self.world.loop.time()
        caller.task.cancel()
        self.world.settle()

    def waiting(self) -> list[Any]:
        return list(self.world.promises.waiting.values())

    # --- sides --------------------------------------------------------------------------------------------

    @rule(side=st.sampled_from([TRITON, TRITON, LEGACY]), mood=MOODS)
    def a_side_changes_its_mood(self, side: Any, mood: Mood) -> None:
        self.world.sides[side].mood = mood

    @rule(side=st.sampled_from([TRITON, TRITON, LEGACY]), moods=st.lists(MOODS, min_size=1, max_size=6))
    def a_side_has_some_bad_answers(self, side: Any, moods: list[Mood]) -> None:
        self.world.sides[side].next.extend(moods)

    @rule(
        side=st.sampled_from([TRITON, TRITON, LEGACY]), bad=st.sampled_from(["server_error", "unavailable"])
    )
    def half_of_the_answers_are_bad(self, side: Any, bad: str) -> None:
        self.world.sides[side].next.extend([Mood("dog"), Mood(bad)] * 12)
        for _ in range(24):
            self.world.arrive("yolo26", None, 5.0, None)
            self.world.advance(0.06)

    @rule(side=st.sampled_from([TRITON, TRITON, LEGACY]), what=st.sampled_from([*ERRORS, "dog"]))
    def answers_come_after_the_side_fell_and_stood_up_again(self, side: Any, what: str) -> None:
        world, scripted = self.world, self.world.sides[side]
        scripted.next.clear()
        for mood, callers in ((Mood(HELD), 5), (Mood("server_error"), 6)):
            scripted.mood = mood
            for _ in range(callers):
                world.arrive("yolo26", None, 40.0, side)
                world.settle()
        scripted.mood = Mood()
        world.advance(6.0)
        for _ in range(4):
            world.prober_looks()
        self.a_late_answer_comes(0, what, all_at_once=True)

    @precondition(lambda self: any(side.held for side in self.world.sides.values()))
    @rule(which=st.integers(0, 50), what=st.sampled_from([*SCORES, *ERRORS]), all_at_once=st.booleans())
    def a_late_answer_comes(self, which: int, what: str, all_at_once: bool) -> None:
        for side in self.world.sides.values():
            if all_at_once:
                held, side.held = side.held, []
            else:
                held = [side.held.pop(which % len(side.held))] if side.held else []
            for call, hang in held:
                hang.then = said(call, what)
                hang.release()
        self.world.settle()

    # --- flags --------------------------------------------------------------------------------------------

    @rule(fraction=FRACTIONS)
    def the_fraction_moves(self, fraction: float) -> None:
        self.world.show(fraction=fraction)

    @rule(shadow=FRACTIONS)
    def the_shadow_moves(self, shadow: float) -> None:
        self.world.show(shadow=shadow)

    @rule(enabled=st.booleans(), seen=st.booleans())
    def the_switch_is_turned(self, enabled: bool, seen: bool) -> None:
        self.world.show(enabled=enabled)
        self.the_prober_looks(int(seen), 0.1)

    @rule(thrown=st.booleans(), seen=st.booleans())
    def the_kill_switch_is_turned(self, thrown: bool, seen: bool) -> None:
        self.world.show(kill_switch=thrown)
        self.the_prober_looks(int(seen), 0.1)

    @rule(overrides=st.dictionaries(st.sampled_from(["yolo26", "rtdetr"]), FRACTIONS, max_size=2))
    def overrides_are_set(self, overrides: dict[str, float]) -> None:
        self.world.show(overrides=overrides)

    @rule(pins=st.dictionaries(st.sampled_from(["gate", "yard"]), st.sampled_from(SIDES), max_size=2),
          suspended=st.booleans())  # fmt: skip
    def cameras_are_pinned(self, pins: dict[str, Any], suspended: bool) -> None:
        self.world.show(pins=pins, pins_suspended=suspended)

    @precondition(lambda self: self.world.view.state and self.world.setup.legacy_enabled)
    @rule()
    def it_is_rolled_back(self) -> None:
        state = self.world.view.state.rolled_back()
        self.world.show(
            **{name: getattr(state, name) for name in ("fraction", "shadow", "overrides", "pins_suspended")}
        )

    @rule(stale=st.booleans())
    def the_store_goes_or_comes(self, stale: bool) -> None:
        self.world.show(stale=stale)

    @rule(seconds=st.sampled_from([-1.0, 0.3, 1000.0, 1000.0]))
    def the_flags_were_looked_at_last(self, seconds: float) -> None:
        self.world.trust_for(seconds)

    # --- time ---------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(times=st.integers(1, 12), every_s=st.sampled_from([0.1, 0.5, 1.0, 8.0]))
    def the_prober_looks(self, times: int, every_s: float) -> None:
        for _ in range(times):
            self.world.prober_looks()
            self.world.advance(every_s)

    @rule(seconds=st.sampled_from([-86_400.0, -1.0, 3600.0]))
    def somebody_sets_the_clock(self, seconds: float) -> None:
        self.wall_s += seconds

    @invariant()
    def all_is_as_promised(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.promises.broken, "\n".join(self.world.promises.broken[:2])

    def teardown(self) -> None:
        time.time = self.real_time
        if not hasattr(self, "world"):
            return
        try:
            if not self.world.promises.broken:
                self.world.end()
                self.all_is_as_promised()
        finally:
            self.world.close()


def tried(examples: int, **more: Any) -> settings:
    return settings(max_examples=examples, stateful_step_count=40, deadline=None, **more)


PoliciesTogether.TestCase.settings = tried(4000) if LONG else tried(60, derandomize=True)
TestPoliciesTogether = PoliciesTogether.TestCase


@pytest.mark.parametrize("name", [name for name in MUTANTS if LONG or name in QUICKLY_FOUND])
def test_a_promise_that_is_broken_is_seen_to_be(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: each fault that is planted in the policies ends the machine, with the promise that it broke."""
    MUTANTS[name](monkeypatch)
    once = tried(2000, database=None, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False)
    with pytest.raises(AssertionError, match=r"at \d+\.\d+ s: "):
        run_state_machine_as_test(PoliciesTogether, settings=once)


# --- what it found ----------------------------------------------------------------------------------------------


@pytest.fixture
def small() -> Iterator[World]:
    made = World(Setup(places=3), View(RolloutState(version=1, fraction=1.0)))
    yield made
    broken = list(made.promises.broken)  # before all is cut short
    made.close()
    assert broken == []


def fallen(small: World) -> None:
    small.sides[TRITON].mood = Mood("server_error")
    for _ in range(5):
        small.arrive("yolo26", None, 5.0, None)
        small.settle()


def test_diagnoses_of_a_fallen_side_get_no_more_than_its_places(small: World) -> None:
    """They pass its open breaker; they passed its admission, too."""
    fallen(small)
    small.sides[TRITON].mood = Mood(HELD)
    asked = small.sides[TRITON].calls
    crowd = [small.arrive("yolo26", None, 5.0, TRITON) for _ in range(8)]
    small.settle()
    assert small.sides[TRITON].calls - asked == 3
    assert sum(isinstance(one.outcome, TooBusy) for one in crowd) == 5


def test_a_probe_that_was_cut_off_with_its_side_says_nothing_of_it(small: World) -> None:
    """Triton was switched off for a moment: that it was not waited for is no reason to wait longer now."""
    fallen(small)
    small.sides[TRITON].mood = Mood(HELD)
    small.advance(5.0)
    small.prober_looks()
    small.show(kill_switch=True)
    small.prober_looks()
    assert small.promises.lanes["yolo26", TRITON].breaker.state == "half_open"
    small.show(kill_switch=False)
    small.sides[TRITON].mood = Mood("dog")
    for _ in range(4):
        small.advance(1.0)
        small.prober_looks()
    assert small.arrive("yolo26", None, 5.0, None).decided == TRITON
    small.settle()
    assert small.sides[TRITON].asked[-1].request_id == "request-6"
