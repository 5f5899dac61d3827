"""The retry budget against a model that adds up fractions, and the bound that it promises in any span of time."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from backend.services.retry import SAVED_REQUESTS, SAVED_S, RetryBudget, backoff_s
from tests.clocks import HandClock

SHARE, PER_S = 0.25, 2.0  # exact in binary, so that the model and the budget agree on the last retry
SAVED = int(SHARE * SAVED_REQUESTS + PER_S * SAVED_S)


def emptied(budget: RetryBudget) -> int:
    taken = 0
    while budget.take():
        taken += 1
    return taken


def test_retries_are_a_share_of_the_requests_and_some_a_second() -> None:
    clock = HandClock()
    budget = RetryBudget(SHARE, PER_S, clock)
    assert emptied(budget) == SAVED
    for _ in range(8):
        budget.asked()
    assert emptied(budget) == 2
    clock.sleep(3)
    assert emptied(budget) == 6


def test_an_idle_night_saves_up_no_storm() -> None:
    clock = HandClock()
    budget = RetryBudget(SHARE, PER_S, clock)
    clock.sleep(8 * 3600)
    for _ in range(100_000):
        budget.asked()
    assert emptied(budget) == SAVED


def test_in_a_steady_state_a_side_that_always_fails_gets_a_fifth_more_and_ten_a_second() -> None:
    clock = HandClock()
    budget = RetryBudget(share=0.2, per_s=10, clock=clock)
    emptied(budget)
    retries = 0
    for _ in range(10_000):  # 100 a second, for 100 seconds, each wants three
        clock.sleep(0.01)
        budget.asked()
        retries += sum(budget.take() for _ in range(3))
    assert 2_995 <= retries <= 3_000  # 0.2 * 10,000 + 10 * 100


def test_without_a_budget_nothing_is_ever_retried() -> None:
    clock = HandClock()
    budget = RetryBudget(0, 0, clock)
    clock.sleep(1e6)
    budget.asked()
    assert not budget.take()


def test_a_tiny_budget_still_allows_a_retry_now_and_then() -> None:
    budget = RetryBudget(share=0.001, per_s=0, clock=HandClock())
    for _ in range(1001):
        budget.asked()
    assert emptied(budget) == 1


@given(st.lists(st.sampled_from(["asked", "take", "sleep"]), max_size=200), st.floats(0, 1), st.floats(0, 50))
@settings(max_examples=60, deadline=None)
def test_in_any_span_of_time_retries_keep_to_the_promise(
    steps: list[str], share: float, per_s: float
) -> None:
    clock = HandClock(0)
    budget = RetryBudget(share, per_s, clock)
    events: list[tuple[float, str]] = []
    for step in steps:
        if step == "sleep":
            clock.sleep(0.7)
        elif step == "asked":
            budget.asked()
            events.append((clock.now, step))
        elif budget.take():
            events.append((clock.now, step))
    saved = max(1, share * SAVED_REQUESTS + per_s * SAVED_S)
    for first, (begun_at, _) in enumerate(events):
        span = [what for _, what in events[first:]]
        granted = share * span.count("asked") + per_s * (clock.now - begun_at)
        assert span.count("take") <= saved + granted + 1e-6


def test_jitter_reaches_from_the_least_to_the_most() -> None:
    assert backoff_s(lambda: 0.0) == 0.010
    assert backoff_s(lambda: 1.0) == 0.050
    random = Random(1)
    drawn = [backoff_s(random.random) for _ in range(1000)]
    assert 0.010 <= min(drawn) < 0.011
    assert 0.049 < max(drawn) <= 0.050


class BudgetAgainstModel(RuleBasedStateMachine):
    """The model: every grant is a fraction; what is over the cap is lost at once."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock(0)
        self.budget = RetryBudget(SHARE, PER_S, self.clock)
        self.left = Fraction(SAVED)

    def grant(self, retries: Fraction) -> None:
        self.left = min(Fraction(SAVED), self.left + retries)

    @rule(times=st.integers(1, 40))
    def requests(self, times: int) -> None:
        for _ in range(times):
            self.budget.asked()
            self.grant(Fraction(SHARE))

    @rule(quarters=st.integers(0, 60))
    def time_passes(self, quarters: int) -> None:
        self.clock.sleep(quarters / 4)
        self.grant(Fraction(PER_S) * Fraction(quarters, 4))

    @rule(times=st.integers(1, 30))
    def retries(self, times: int) -> None:
        for _ in range(times):
            may = self.left >= 1
            assert self.budget.take() == may
            self.left -= may

    @invariant()
    def is_bounded(self) -> None:
        assert 0 <= self.left <= SAVED


BudgetAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudgetAgainstModel = BudgetAgainstModel.TestCase
