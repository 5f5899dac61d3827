"""How many samples it takes until evidence says what is true: to a promotion, to a rollback, after a late fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from backend.ramp.evidence import BETS, Asked, Bets, bets_on_ill, bets_on_well, promote_at, rollback_at
from benchmarks.evidence_looks import NEVER, Numbers, at_ill, at_well
from benchmarks.evidence_scenarios import (
    ERRORS,
    FRESH,
    FRESH_WITH_ROOM,
    LATENCY,
    LATER,
    PROMOTE_ALPHA,
    Claim,
    Make,
)
from benchmarks.evidence_streams import Random, Times, coins, late_fault, noisy, over_fresh, over_frozen


@dataclass(frozen=True, slots=True)
class Delay:
    """How many samples it takes until it says what is true."""

    claim: Claim
    what: str
    bound: float
    rate: str
    streams: int
    horizon: int  # nobody waited for longer
    median: int | None  # None: over the horizon
    nine_in_ten: int | None
    never: int  # streams that were not there at the horizon


def delays(random: Random, streams: int) -> Iterator[Delay]:
    yield from _promotions(random, streams)
    yield from _rollbacks(random, streams)
    yield from _slower(random, streams)
    yield from _late_faults(random, streams)


def _promotions(random: Random, streams: int) -> Iterator[Delay]:
    for bound in (0.01, 0.005, 0.003, 0.001):
        for name, share in (("clean", 0.0), ("τ/10", 0.1), ("τ/2", 0.5)):
            samples = round((12 if share < 0.5 else 40) / bound)
            make = partial(coins, samples=samples, rate=share * bound)
            asked = Asked(bound, 0)
            yield _promotion(asked, make, "disagreement", name, random, streams)
            even = replace(bets_on_well(asked), weights=np.full(BETS, 1 / BETS))
            yield _promotion(asked, make, "disagreement, even weights", name, random, streams, even)
        noise = partial(noisy, samples=round(40 / bound), mean=0.0, noise=0.003)
        yield _promotion(Asked(bound, -1), noise, "disagreement, legacy noisy by 0.3 %", "0", random, streams)
    equal = partial(over_frozen, samples=1500, times=Times())
    yield _promotion(LATENCY, equal, "latency, sides equal", "2.5 %", random, streams)


def _promotion(
    asked: Asked, make: Make, what: str, rate: str, random: Random, streams: int, bets: Bets | None = None
) -> Delay:
    made = make(random, streams)
    first = at_well(bets or bets_on_well(asked), made, promote_at(PROMOTE_ALPHA)).first
    return _delay("promotion", what, asked, rate, made.shape[1], first)


def _rollbacks(random: Random, streams: int) -> Iterator[Delay]:
    cases = (("disagreement", Asked(0.01, -1)), ("disagreement", LATER), ("errors", ERRORS))
    for what, asked in cases:
        for rate in (0.01, 0.02, 0.05, 0.1, 0.3, 1.0):
            if rate > asked.bound:
                samples = min(20_000, round(60 / rate * max(1.0, asked.bound / rate * 8)))
                make = partial(coins, samples=samples, rate=rate)
                yield _rollback(asked, make, what, f"{100 * rate:.0f} %", random, streams)


def _rollback(
    asked: Asked, make: Make, what: str, rate: str, random: Random, streams: int,
    *, healthy: int = 0, restarts: bool = True,
) -> Delay:  # fmt: skip
    made = make(random, streams)
    first = at_ill(bets_on_ill(asked), made, rollback_at(0.01, 4, 1), restarts=restarts).first
    first = np.where(first < NEVER, first - healthy, NEVER)
    return _delay("rollback", what, asked, rate, made.shape[1] - healthy, first)


def _slower(random: Random, streams: int) -> Iterator[Delay]:
    for slower in (1.2, 1.3, 1.5, 2.0):
        times, rate = Times(slower=slower), f"{100 * (slower - 1):.0f} % slower"
        frozen = partial(over_frozen, samples=2000, times=times)
        yield _rollback(LATENCY, frozen, "latency", rate, random, streams)
        fresh = partial(over_fresh, samples=2000, times=times)
        for asked in (FRESH, FRESH_WITH_ROOM):
            yield _rollback(asked, fresh, "fresh", rate, random, streams)


def _late_faults(random: Random, streams: int) -> Iterator[Delay]:
    for healthy in (300, 3000, 10_000):
        for rate in (0.05, 0.3):
            make = partial(late_fault, healthy=healthy, faulty=2000, rates=(0.0, rate))
            for restarts in (True, False):
                what = f"disagreement after {healthy:,} clean, {'' if restarts else 'without '}starts"
                yield _rollback(
                    LATER,
                    make,
                    what,
                    f"{100 * rate:.0f} %",
                    random,
                    streams,
                    healthy=healthy,
                    restarts=restarts,
                )


def _delay(claim: Claim, what: str, asked: Asked, rate: str, horizon: int, first: Numbers) -> Delay:
    ordered = np.sort(first)

    def at(share: float) -> int | None:
        found = int(ordered[int(share * len(ordered))])
        return found if found < NEVER else None

    never = int((first == NEVER).sum())
    return Delay(claim, what, asked.bound, rate, len(first), horizon, at(0.5), at(0.9), never)
