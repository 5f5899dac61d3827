"""The scenarios in which evidence has to hold, and how often it was wrong in each, looked at after every sample.

In each the mean is exactly the bound, or what is said, so every promotion and every rollback in it is a false one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy.stats import binom, norm

from backend.ramp.evidence import Asked, bets_of_band, bets_on_ill, bets_on_well, promote_at
from benchmarks.evidence_looks import (
    NEVER,
    Streams,
    at_ill,
    at_ill_in_batches,
    at_well,
    at_well_in_batches,
    naive_ill,
    naive_well,
)
from benchmarks.evidence_streams import (
    Bursts,
    Random,
    Street,
    Times,
    batches,
    bursts,
    coins,
    dropped,
    late_fault,
    noisy,
    over_fresh,
    over_frozen,
    over_rolling,
    static_scenes,
)

Claim = Literal["promotion", "rollback", "band"]
Make = Callable[[Random, int], Streams]
Promised = Literal[
    "yes", "no", "breaks"
]  # "no": told, for what it is; "breaks": the control that has to fail

PROMOTE_ALPHA = 0.05  # ramp_promote_alpha
SHARE = 0.01 / 4 / 2  # of ramp_rollback_alpha, for one of 4 questions in the first epoch
SURE = 0.999  # a right test is over `allowed` so seldom as 1 time in 1,000
CHUNK = 500  # streams at once

FIRST, LATER = Asked(0.01, 0), Asked(0.003, -1)  # disagreement; in the first without noise of legacy
ERRORS, LATENCY, FRESH = Asked(0.001, 0), Asked(0.07, 0), Asked(0.05, 0)
FRESH_WITH_ROOM = Asked(0.1, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    scenario: str
    claim: Claim  # the false one that is counted
    promised: Promised
    bound: float
    alpha: float
    streams: int
    samples: int
    happened: int
    allowed: int  # where the chance is alpha, more than this happens 1 time in 1,000
    naive: int | None = None  # … an ordinary test at the same alpha, made again after every sample

    @property
    def holds(self) -> bool:
        return self.happened <= self.allowed


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    asked: Asked
    make: Make
    promotion: Promised | None = "yes"  # None: it would not be a false one, or is not asked
    rollback: Promised | None = "yes"
    workers: int = 0  # counts arrive in batches of so many


def allowed(streams: int, alpha: float) -> int:
    return int(binom.ppf(SURE, streams, alpha))


def scenarios() -> tuple[Scenario, ...]:
    return (*_plain(), *_scenes(), *_bursts(), *_drops(), *_latency())


def _plain() -> Iterator[Scenario]:
    yield Scenario("independent", FIRST, partial(coins, samples=3000, rate=0.01))
    yield Scenario("independent, legacy noisy", LATER, partial(noisy, samples=6000, mean=0.003, noise=0.01))
    yield Scenario("independent, a rate for errors", ERRORS, partial(coins, samples=15_000, rate=0.001))
    yield Scenario("independent, a rate for latency", LATENCY, partial(coins, samples=1000, rate=0.07))
    yield Scenario("4 workers", FIRST, partial(coins, samples=3000, rate=0.01), workers=4)
    noise = partial(noisy, samples=6000, mean=0.003, noise=0.01)
    yield Scenario("4 workers, legacy noisy", LATER, noise, workers=4)


def _scenes() -> Iterator[Scenario]:
    street = Street(seconds=7200, scene_s=30.0)
    scenes = partial(static_scenes, rate=0.01, street=street, samples=3000)
    yield Scenario("static scenes", FIRST, partial(scenes, independent=True))
    every = partial(scenes, independent=False)
    yield Scenario("static scenes, every picture", FIRST, every, "breaks", "breaks")


def _bursts() -> Iterator[Scenario]:
    limit = float(norm.isf(LATENCY.bound))
    waves = partial(bursts, samples=1000, limit=limit)
    yield Scenario("bursts", LATENCY, partial(waves, how=Bursts(), gap_s=1.0))
    yield Scenario(
        "bursts, every request", LATENCY, partial(waves, how=Bursts(), gap_s=0.0), "breaks", "breaks"
    )
    slow = partial(waves, how=Bursts(wave_s=10.0), gap_s=1.0)
    yield Scenario("waves of 10 s, 1 s apart", LATENCY, slow, "no", "no")
    equal = partial(bursts, samples=1000, limit=float(norm.isf(0.025)), how=Bursts(wave_s=10.0), gap_s=1.0)
    yield Scenario("waves of 10 s, sides equal, 1 s apart", LATENCY, equal, None, "no")
    apart = partial(bursts, samples=1000, limit=float(norm.isf(0.025)), how=Bursts(wave_s=10.0), gap_s=5.0)
    yield Scenario("waves of 10 s, sides equal, 5 s apart", LATENCY, apart, None)


def _drops() -> Iterator[Scenario]:
    yield Scenario("5 % dropped", FIRST, partial(_dropping, bad=0.05, good=0.05))
    yield Scenario(
        "dropped: 15 % of the bad, 5 % of the good", FIRST, partial(_dropping, bad=0.15, good=0.05), "no"
    )
    yield Scenario(
        "dropped: 5 % of the good only", FIRST, partial(_dropping, bad=0.0, good=0.05), rollback="no"
    )
    yield Scenario("dropped: every bad one", FIRST, partial(_dropping, bad=1.0, good=0.0), "breaks")


def _dropping(random: Random, rows: int, *, bad: float, good: float) -> Streams:
    return dropped(random, coins(random, rows, 3000, FIRST.bound), bad=bad, good=good)


def _latency() -> Iterator[Scenario]:
    frozen = partial(over_frozen, samples=1000)
    yield Scenario("latency, sides equal: frozen θ", LATENCY, partial(frozen, times=Times()), None)
    rolling = partial(over_rolling, samples=1000, times=Times(moving=0.7))
    name = "latency, legacy 30 % faster as load moves: rolling p95"
    yield Scenario(name, LATENCY, rolling, None, "breaks")
    for slower in (1.2, 1.3):
        make = partial(frozen, times=Times(slower=slower))
        yield Scenario(f"latency, Triton {100 * (slower - 1):.0f} % slower", LATENCY, make, "yes", None)
    yield Scenario("fresh, sides equal", FRESH, partial(over_fresh, samples=1000, times=Times()), None)
    for faster in (0.95, 0.9, 0.8):
        make = partial(over_fresh, samples=1000, times=Times(moving=faster))
        for asked in (FRESH, FRESH_WITH_ROOM):
            name = f"fresh, legacy {100 * (1 - faster):.0f} % faster as load moves, τ = {100 * asked.bound:.0f} %"
            yield Scenario(name, asked, make, None, "no")


# --- how often it was wrong -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    samples: int = 0
    promoted: int = 0
    rolled_back: int = 0
    rolled_back_at_share: int = 0
    naively_promoted: int = 0
    naively_rolled_back: int = 0


def findings(scenario: Scenario, random: Random, streams: int) -> list[Finding]:
    tally = _Tally()
    for rows in chunks(streams):
        _count(tally, scenario, random, rows)
    of = partial(_finding, scenario, streams, tally.samples)
    found = (
        of("promotion", PROMOTE_ALPHA, tally.promoted, tally.naively_promoted),
        of("rollback", PROMOTE_ALPHA, tally.rolled_back, tally.naively_rolled_back),
        of("rollback", SHARE, tally.rolled_back_at_share, None),
    )
    return [one for one in found if one is not None]


def _finding(
    scenario: Scenario,
    streams: int,
    samples: int,
    claim: Claim,
    alpha: float,
    happened: int,
    naive: int | None,
) -> Finding | None:
    promised = scenario.promotion if claim == "promotion" else scenario.rollback
    if promised is None:
        return None
    if promised == "breaks" and alpha == SHARE:
        promised = "no"
    return Finding(
        scenario.name, claim, promised, scenario.asked.bound, alpha, streams, samples,
        happened, allowed(streams, alpha), None if scenario.workers else naive,
    )  # fmt: skip


def _count(tally: _Tally, scenario: Scenario, random: Random, rows: int) -> None:
    streams, asked = scenario.make(random, rows), scenario.asked
    tally.samples = max(tally.samples, streams.shape[1])
    if scenario.workers:
        dealt = batches(random, streams, scenario.workers, away=0.3)
        well = at_well_in_batches(bets_on_well(asked), dealt, promote_at(PROMOTE_ALPHA))
        ill = at_ill_in_batches(bets_on_ill(asked), dealt, promote_at(SHARE))
    else:
        well = at_well(bets_on_well(asked), streams, promote_at(PROMOTE_ALPHA))
        ill = at_ill(bets_on_ill(asked), streams, promote_at(SHARE))
        tally.naively_promoted += naive_well(asked, streams, PROMOTE_ALPHA)
        tally.naively_rolled_back += naive_ill(asked, streams, PROMOTE_ALPHA)
    tally.promoted += well.reached
    tally.rolled_back += int((ill.highest >= promote_at(PROMOTE_ALPHA)).sum())
    tally.rolled_back_at_share += ill.reached


def chunks(streams: int) -> Iterator[int]:
    for done in range(0, streams, CHUNK):
        yield min(CHUNK, streams - done)


def late_promotions(random: Random, streams: int) -> list[Finding]:
    """Healthy for 300 samples, 32 short of a promotion, then at fault: is it promoted, and when?"""
    found = []
    for rate in (0.02, 0.05, 0.1, 0.3):
        over_from = int(np.ceil(300 * rate / (rate - FIRST.bound)))
        before = after = 0
        for rows in chunks(streams):
            made = late_fault(random, rows, 300, 3000, (0.0, rate))
            first = at_well(bets_on_well(FIRST), made, promote_at(PROMOTE_ALPHA)).first
            before += int((first < over_from).sum())
            after += int(((first >= over_from) & (first < NEVER)).sum())
        of = partial(Finding, bound=FIRST.bound, alpha=PROMOTE_ALPHA, streams=streams, samples=3300)
        limit = allowed(streams, PROMOTE_ALPHA)
        name = f"fault of {100 * rate:.0f} % after 300 clean samples"
        found.append(of(f"{name}, mean so far over τ", "promotion", "yes", happened=after, allowed=limit))
        found.append(of(f"{name}, mean so far under τ", "promotion", "no", happened=before, allowed=limit))
    return found


def band_misses(random: Random, streams: int) -> list[Finding]:
    """Streams in which the band of 95 % is ever, after any sample, beside the mean."""
    cases = (
        ("band, rate of 1 %", 0.01, 0, partial(coins, samples=3000, rate=0.01)),
        ("band, rate of 0.1 %", 0.001, 0, partial(coins, samples=10_000, rate=0.001)),
        ("band, mean 0, legacy noisy by 1 %", 0.0, -1, partial(noisy, samples=3000, mean=0.0, noise=0.01)),
    )
    found = []
    for name, mean, least, make in cases:
        missed = sum(_missed(make(random, rows), mean, least) for rows in chunks(streams))
        limit = allowed(streams, PROMOTE_ALPHA)
        found.append(Finding(name, "band", "yes", mean, PROMOTE_ALPHA, streams, 3000, missed, limit))
    return found


def _missed(made: Streams, mean: float, least: int) -> int:
    ill, well = bets_of_band(mean, least)
    refuted = promote_at(PROMOTE_ALPHA / 2)
    too_high = at_ill(ill, made, refuted, restarts=False).first < NEVER
    too_low = at_well(well, made, refuted).first < NEVER
    return int((too_high | too_low).sum())
