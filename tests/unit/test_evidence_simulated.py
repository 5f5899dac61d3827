"""Simulated ramps, looked at after every sample: evidence is wrong no more often than promised, an ordinary test is.

The short form of `make evidence`. Seeds are fixed; where a test is right, more false ones than `allowed` would come
once in a thousand seeds.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.ramp.evidence import (
    Asked,
    Bets,
    Counted,
    Starts,
    bets_on_ill,
    bets_on_well,
    clean_needed,
    ill,
    promote_at,
    rollback_at,
    well,
)
from benchmarks import evidence as command
from benchmarks.evidence_delays import delays
from benchmarks.evidence_looks import NEVER, at_ill, at_ill_in_batches, at_well, at_well_in_batches
from benchmarks.evidence_scenarios import (
    ERRORS,
    FIRST,
    LATENCY,
    LATER,
    PROMOTE_ALPHA,
    Finding,
    Scenario,
    band_misses,
    findings,
    late_promotions,
    scenarios,
)
from benchmarks.evidence_streams import Times, batches, coins, late_fault, noisy, over_fresh, over_frozen

STREAMS = 400
SEED = 11
BY_NAME = {scenario.name: scenario for scenario in scenarios()}


def found(name: str) -> list[Finding]:
    return findings(BY_NAME[name], np.random.default_rng(SEED), STREAMS)


# --- the simulation looks as the backend does ---------------------------------------------------------------


@pytest.mark.parametrize("asked", [Asked(0.02, 0), Asked(0.02, -1)])
def test_the_simulation_says_what_the_backend_says_look_by_look(asked: Asked) -> None:
    random = np.random.default_rng(SEED)
    stream = noisy(random, 1, 400, 0.03, 0.01) if asked.least else coins(random, 1, 400, 0.03)
    counted, starts, for_it, against = Counted(), Starts(), [], [0.0]
    for x in stream[0]:
        counted += Counted(int(x == 1), int(x == 0), int(x == -1))
        for_it.append(well(asked, counted))
        value, starts = ill(asked, counted, starts)
        against.append(value)
    for values, looked in (
        (for_it, at_well(bets_on_well(asked), stream, 0.3)),
        (against[1:], at_ill(bets_on_ill(asked), stream, 1.0)),
    ):
        threshold = 0.3 if values is for_it else 1.0
        first = next((n for n, value in enumerate(values, 1) if value >= threshold), NEVER)
        assert looked.first[0] == first
        assert looked.highest[0] == pytest.approx(max([*values, 0.0] if values is not for_it else values))


def test_batches_of_workers_say_what_the_backend_says_look_by_look() -> None:
    random, asked = np.random.default_rng(SEED), Asked(0.02, -1)
    stream = noisy(random, 1, 600, 0.05, 0.01)
    dealt = batches(random, stream, 4, away=0.3)
    assert dealt.sum(axis=1)[0].tolist() == [int((stream == x).sum()) for x in (1, 0, -1)]
    counted, starts, for_it, against = Counted(), Starts(), [], [0.0]
    for batch in dealt[0]:
        counted += Counted(*map(int, batch))
        for_it.append(well(asked, counted))
        value, starts = ill(asked, counted, starts)
        against.append(value)
    highest = at_ill_in_batches(bets_on_ill(asked), dealt, 1.0).highest[0]
    assert highest == pytest.approx(max(against))
    assert at_well_in_batches(bets_on_well(asked), dealt, 1.0).highest[0] == pytest.approx(max(for_it))


# --- wrong no more often than is promised -------------------------------------------------------------------


@pytest.mark.parametrize("scenario", BY_NAME.values(), ids=BY_NAME)
def test_it_is_wrong_no_more_often_than_promised(scenario: Scenario) -> None:
    """A false promotion or rollback where the mean is exactly the bound; controls that break a rule do break."""
    for finding in found(scenario.name):
        assert not list(command.faults_of(finding))


PLAIN = [
    "independent",
    "independent, legacy noisy",
    "independent, a rate for errors",
    "5 % dropped",
    "bursts",
]


@pytest.mark.parametrize("name", PLAIN)
def test_an_ordinary_test_made_again_after_every_sample_is_wrong_too_often(name: str) -> None:
    """The negative control: the same streams, the same alpha."""
    for finding in found(name):
        if finding.naive is not None:
            assert finding.naive > finding.allowed >= finding.happened


def test_the_simulation_would_find_a_test_that_is_twice_as_bold() -> None:
    """Each gain doubled: a bet that is unfair by a little is wrong more often than is allowed."""
    bets = bets_on_well(FIRST)
    bold = Bets(np.maximum(bets.gains * [0.5, 2.0, 2.0], -1e30), bets.weights)
    streams = coins(np.random.default_rng(SEED), STREAMS, 3000, FIRST.bound)
    finding = found("independent")[0]
    assert at_well(bold, streams, promote_at(PROMOTE_ALPHA)).reached > finding.allowed
    assert at_well(bets, streams, promote_at(PROMOTE_ALPHA)).reached <= finding.allowed


def test_no_promotion_while_the_mean_so_far_is_over_the_bound_after_a_late_fault() -> None:
    for finding in late_promotions(np.random.default_rng(SEED), STREAMS):
        assert not list(command.faults_of(finding))


def test_a_band_holds_after_every_sample() -> None:
    for finding in band_misses(np.random.default_rng(SEED), STREAMS):
        assert not list(command.faults_of(finding))


# --- and right soon enough ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "rate", "at_most"),
    [
        (LATER, 0.01, 3000),
        (LATER, 0.05, 400),
        (LATER, 0.1, 200),
        (LATER, 1.0, 15),
        (ERRORS, 0.01, 1200),
        (ERRORS, 0.1, 60),
        (ERRORS, 1.0, 3),
    ],
)
def test_a_fault_is_found_within(asked: Asked, rate: float, at_most: int) -> None:
    """Half of the ramps, at the threshold of the first step; the same ramp without the fault stays."""
    random = np.random.default_rng(SEED)
    faulty = coins(random, 100, 4 * at_most, rate)
    first = at_ill(bets_on_ill(asked), faulty, rollback_at(0.01, 4, 1)).first
    assert np.median(first) <= at_most
    healthy = coins(random, 100, 4 * at_most, asked.bound / 2)
    assert at_ill(bets_on_ill(asked), healthy, rollback_at(0.01, 4, 1)).reached == 0


def test_a_clean_ramp_is_promoted_when_it_says_so_and_half_the_bound_is_enough() -> None:
    random = np.random.default_rng(SEED)
    clean = at_well(bets_on_well(FIRST), coins(random, 3, 1000, 0.0), promote_at(PROMOTE_ALPHA))
    assert clean.first.tolist() == [clean_needed(FIRST, PROMOTE_ALPHA)] * 3
    half = at_well(bets_on_well(FIRST), coins(random, 200, 8000, 0.005), promote_at(PROMOTE_ALPHA))
    assert half.reached > 0.9 * 200


def test_starts_find_a_late_fault_sooner() -> None:
    streams = late_fault(np.random.default_rng(SEED), 100, 10_000, 2000, (0.0, 0.05))
    with_starts = at_ill(bets_on_ill(LATER), streams, rollback_at(0.01, 4, 1))
    without = at_ill(bets_on_ill(LATER), streams, rollback_at(0.01, 4, 1), restarts=False)
    assert np.median(with_starts.first) - 10_000 < 0.6 * (np.median(without.first) - 10_000)


def test_a_triton_that_is_30_percent_slower_is_found_by_fresh_first() -> None:
    random, slower = np.random.default_rng(SEED), Times(slower=1.3)
    threshold = rollback_at(0.01, 4, 1)
    fresh = at_ill(bets_on_ill(Asked(0.05, 0)), over_fresh(random, 200, 1500, slower), threshold)
    frozen = at_ill(bets_on_ill(LATENCY), over_frozen(random, 200, 1500, slower), threshold)
    assert np.median(fresh.first) <= 63
    assert np.median(fresh.first) < np.median(frozen.first) <= 400


# --- the command ------------------------------------------------------------------------------------------------


def test_the_command_writes_what_it_prints_and_fails_where_a_promise_does(tmp_path: Path) -> None:
    report = command.run(streams=40, delay_streams=4)
    written = json.loads(command.save(report, tmp_path).read_text())
    assert len(written["findings"]) == len(report.findings) > 50
    assert len(written["delays"]) == len(report.delays) == len(list(delays(np.random.default_rng(1), 4)))
    text = command.as_text(report)
    assert all(finding.scenario in text for finding in report.findings)
    wrong = Finding("x", "promotion", "yes", 0.01, 0.05, 100, 10, happened=30, allowed=12)
    idle = Finding("y", "rollback", "breaks", 0.01, 0.05, 100, 10, happened=3, allowed=12)
    assert [len(list(command.faults_of(one))) for one in (wrong, idle)] == [1, 1]
