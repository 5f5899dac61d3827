"""Evidence from counts: what is worked out by hand, what adds up, and what a lost record costs."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.ramp.evidence import (
    BETS,
    BLOCK,
    Asked,
    Counted,
    Starts,
    band,
    bets_of_band,
    bets_on_ill,
    bets_on_well,
    clean_needed,
    ill,
    promote_at,
    rollback_at,
    well,
)

BOUNDS = (0.001, 0.003, 0.01, 0.07, 0.5, 0.9)
HUGE = 10**9

asks = st.builds(Asked, st.sampled_from(BOUNDS), st.sampled_from((0, -1)))
counts = st.builds(Counted, st.integers(0, 300), st.integers(0, 3000), st.integers(0, 300))


def plain(counted: Counted) -> Counted:
    """Without samples that say −1."""
    return Counted(counted.worse, counted.same)


def ln(weights: list[float], products: list[float]) -> float:
    return math.log(sum(weight * value for weight, value in zip(weights, products, strict=True)))


# --- fair ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("least", [0, -1])
def test_no_bet_gains_on_average_where_the_mean_is_the_bound(bound: float, least: int) -> None:
    """For each way to have that mean: this is what makes the evidence right, looked at whenever one likes."""
    better = 0.0 if least == 0 else (1 - bound) / 4
    chances = np.array([bound + better, 1 - bound - 2 * better, better])
    asked = Asked(bound, least)
    for bets in (bets_on_well(asked), bets_on_ill(asked), *bets_of_band(bound, least)):
        assert np.exp(bets.gains) @ chances == pytest.approx(np.ones(BETS), abs=1e-9)
        assert bets.weights.sum() == pytest.approx(1)


def test_a_bet_that_took_part_in_a_mean_beyond_the_bound_loses() -> None:
    chances = np.array([0.02, 0.98, 0.0])
    assert (np.exp(bets_on_well(Asked(0.01, 0)).gains) @ chances < 1).all()
    assert (np.exp(bets_on_ill(Asked(0.03, 0)).gains) @ chances < 1).all()


def test_there_are_24_bets_and_nothing_asked_is_no_evidence() -> None:
    asked = Asked(0.01, -1)
    assert bets_on_well(asked).gains.shape == bets_on_ill(asked).gains.shape == (BETS, 3) == (24, 3)
    assert well(asked, Counted()) == pytest.approx(0)
    assert ill(asked, Counted(), Starts())[0] == pytest.approx(0)


# --- counts suffice -----------------------------------------------------------------------------------------


def test_the_counts_say_the_same_as_the_product_over_the_samples() -> None:
    asked, samples = Asked(0.01, -1), [1, 0, 0, -1, 1, 0, 0, 0, 1]
    bets = bets_on_well(asked)
    column = {1: 0, 0: 1, -1: 2}
    products = [math.prod(math.exp(row[column[x]]) for x in samples) for row in bets.gains]
    assert well(asked, Counted(3, 5, 1)) == pytest.approx(ln(list(bets.weights), products))


@given(asks, counts, counts)
def test_two_workers_counts_say_what_one_workers_would(asked: Asked, one: Counted, other: Counted) -> None:
    together = one + other
    assert together - other == one
    bets = bets_on_ill(asked)
    both = [np.array([float(n) for n in each.to_list()]) for each in (one, other)]
    if asked.least == -1:
        assert bets.sums(both[0]) + bets.sums(both[1]) == pytest.approx(bets.sums(both[0] + both[1]))
    assert well(asked, plain(one) + plain(other)) == well(asked, plain(together))


def test_counts_are_read_under_a_prefix() -> None:
    book = {
        "disagreement.1": 3,
        "disagreement.0": 90,
        "disagreement.-1": 2,
        "errors.1": 7,
        "disagreement.10": 4,
    }
    counted = Counted.of(book, "disagreement")
    assert counted == Counted(3, 90, 2)
    assert (counted.asked, counted.rate) == (95, pytest.approx(1 / 95))
    assert Counted.of(book, "fresh") == Counted()
    assert Counted().rate is None


# --- directions and sizes -----------------------------------------------------------------------------------


@given(asks, counts)
def test_a_worse_sample_says_more_against_triton_than_a_clean_one(asked: Asked, counted: Counted) -> None:
    counted = counted if asked.least == -1 else plain(counted)
    worse, same = counted + Counted(worse=1), counted + Counted(same=1)
    assert well(asked, worse) <= well(asked, counted) + 1e-9
    assert well(asked, same) >= well(asked, counted) - 1e-9
    assert ill(asked, worse, Starts())[0] >= ill(asked, same, Starts())[0] - 1e-9


@pytest.mark.parametrize(("bound", "at_most"), [(0.01, 423), (0.003, 1414), (0.001, 4247)])
def test_no_more_clean_samples_are_needed_than_the_design_says(bound: float, at_most: int) -> None:
    for least in (0, -1):
        assert clean_needed(Asked(bound, least), 0.05) <= at_most


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.001])
def test_clean_needed_is_the_first_number_at_which_well_says_so(bound: float, alpha: float) -> None:
    asked = Asked(bound, 0)
    needed = clean_needed(asked, alpha)
    assert well(asked, Counted(same=needed)) >= promote_at(alpha)
    assert needed == 1 or well(asked, Counted(same=needed - 1)) < promote_at(alpha)


def test_a_billion_samples_are_finite_and_say_what_is_true() -> None:
    for least, better in ((0, 0), (-1, 1)):
        asked = Asked(0.01, least)
        low = Counted(HUGE // 1000 + better * HUGE // 100, HUGE, better * HUGE // 100)
        high = Counted(HUGE // 10 + better * HUGE // 100, HUGE, better * HUGE // 100)
        assert math.isfinite(well(asked, low))
        assert well(asked, low) > 1e5
        assert well(asked, high) < 0
        assert ill(asked, high, Starts())[0] > 1e5
        assert ill(asked, low, Starts())[0] < 0
        under, over = band(asked, low, 0.05)
        assert under < (low.rate or 0) < over
        assert over - under < 1e-3


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_a_bound_at_the_end_is_taken_for_one_in_a_million_beside_it(bound: float) -> None:
    """ "No error at all" can be set; no number of samples shows it, and nothing divides by 0."""
    value = well(Asked(bound, 0), Counted(5, 10_000))
    assert math.isfinite(value)
    assert math.isfinite(ill(Asked(bound, 0), Counted(5, 10_000), Starts())[0])
    assert (value < 0) == (bound == 0)


@pytest.mark.parametrize("bad", [(-0.1, 0), (1.1, 0), (0.1, 1)])
def test_what_cannot_be_asked_is_refused(bad: tuple[float, int]) -> None:
    with pytest.raises(ValueError, match="bound is"):
        Asked(*bad)  # type: ignore[arg-type]


# --- starts -------------------------------------------------------------------------------------------------


def by_hand(asked: Asked, samples: list[int]) -> float:
    """Every start by itself: the first at the first sample, the j-th (j ≥ 2) when j blocks are complete."""
    bets = bets_on_ill(asked)
    gains = [bets.gains[:, {1: 0, 0: 1, -1: 2}[x]] for x in samples]
    blocks = len(samples) // BLOCK
    value = 1 / (max(1, blocks) + 1)
    for j in range(1, max(1, blocks) + 1):
        since = gains[0 if j == 1 else j * BLOCK :]
        products = np.exp(np.sum(since, axis=0)) if since else np.ones(BETS)
        value += float(bets.weights @ products) / (j * (j + 1))
    return math.log(value)


@pytest.mark.parametrize("least", [0, -1])
def test_looked_at_after_every_sample_it_is_the_sum_over_all_starts(least: int) -> None:
    asked, random, starts = Asked(0.05, least), np.random.default_rng(3), Starts()
    samples = [int(x) for x in random.choice([1, 0, least], size=260, p=[0.05, 0.9, 0.05])]
    counted = Counted()
    for seen, x in enumerate(samples, 1):
        counted += Counted(int(x == 1), int(x == 0), int(x == -1))
        value, starts = ill(asked, counted, starts)
        assert value == pytest.approx(by_hand(asked, samples[:seen]))


def test_a_late_fault_is_not_drowned_by_what_went_well_before() -> None:
    """The control has lost its starts, and only knows the one of long ago."""
    asked, starts, healthy = Asked(0.003, -1), Starts(), 0
    for healthy in range(0, 10_001, BLOCK):
        _, starts = ill(asked, Counted(same=healthy), starts)
    at_fault = Counted(worse=30, same=healthy + 30)
    assert ill(asked, at_fault, starts)[0] > rollback_at(0.01, 4, 1) > ill(asked, at_fault, Starts())[0]


@given(asks, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), min_size=1, max_size=30))
def test_who_lost_the_starts_never_sees_more_evidence_than_who_kept_them(
    asked: Asked, looks: list[tuple[int, int]]
) -> None:
    """So a leader that forgets them, however often and whenever, makes no false rollback likelier."""
    counted, starts = Counted(), Starts()
    for worse, same in looks:
        counted += Counted(worse, same)
        value, starts = ill(asked, counted, starts)
        forgetful, _ = ill(asked, counted, Starts())
        assert forgetful <= value + 1e-9


def test_the_stake_of_a_new_start_is_taken_from_what_was_kept() -> None:
    """A look that closes a block makes no evidence out of nothing: looked at again, the value is the same."""
    asked, counted, starts = Asked(0.01, 0), Counted(), Starts()
    for same in (10, 20, 30, 70, 5, 400, 25):
        counted += Counted(worse=1, same=same)
        value, starts = ill(asked, counted, starts)
        assert ill(asked, counted, starts)[0] == pytest.approx(value)


def test_starts_of_another_epoch_are_as_good_as_lost() -> None:
    asked = Asked(0.01, 0)
    _, old = ill(asked, Counted(3, 500), Starts())
    young = Counted(1, 30)
    assert ill(asked, young, old) == ill(asked, young, Starts())


def test_starts_survive_a_store() -> None:
    asked, starts = Asked(0.3, -1), Starts()
    assert Starts.from_table(json.loads(json.dumps(starts.to_table()))) == starts
    for number in range(1, 9):
        _, starts = ill(asked, Counted(3 * number, 20 * number, 10 * number), starts)
    text = json.dumps(starts.to_table(), allow_nan=False)
    assert starts.blocks == 10
    assert Starts.from_table(json.loads(text)) == starts


@pytest.mark.parametrize(
    "bad",
    [{}, {"sums": [1.0], "closed": [0, 0, 0], "blocks": 1}, {"sums": [], "closed": [0, 0], "blocks": "x"}],
)
def test_what_is_no_starts_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Starts.from_table(bad)


# --- thresholds and bands -----------------------------------------------------------------------------------


def test_all_questions_in_all_epochs_together_spend_alpha() -> None:
    spent = sum(4 * math.exp(-rollback_at(0.01, 4, tries)) for tries in range(1, 10_000))
    assert spent == pytest.approx(0.01, rel=1e-3)
    assert spent < 0.01
    assert promote_at(0.05) == pytest.approx(math.log(20))


@given(asks, counts, st.sampled_from([0.2, 0.05, 0.001]))
def test_the_rate_seen_lies_in_its_band_and_less_alpha_makes_it_wider(
    asked: Asked, counted: Counted, alpha: float
) -> None:
    counted = counted if asked.least == -1 else plain(counted)
    low, high = band(asked, counted, alpha)
    assert asked.least <= low <= (counted.rate or low) <= high <= 1
    wide_low, wide_high = band(asked, counted, alpha / 10)
    assert wide_low <= low
    assert high <= wide_high


def test_a_band_is_the_means_that_no_bet_refutes() -> None:
    for least, counted in product((0, -1), (Counted(20, 900), Counted(0, 400), Counted(50, 0))):
        low, high = band(Asked(0.01, least), counted, 0.05)
        for mean in np.linspace(least, 1, 199):
            kept = low - 1e-6 <= mean <= high + 1e-6
            values = [
                float(bets.mixed(bets.sums(np.array(counted.to_list(), dtype=float))))
                for bets in bets_of_band(mean, least)
            ]
            assert (max(values) < math.log(2 / 0.05)) == kept


def test_nothing_asked_leaves_everything_possible() -> None:
    assert band(Asked(0.01, 0), Counted(), 0.05) == (0, 1)
    assert band(Asked(0.01, -1), Counted(), 0.05) == (-1, 1)
