"""What one generator process saw, as data that can be added to what the others saw. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from benchmarks.load.measurement import Measurement, Offered, percentile, server_timing
from benchmarks.load.tally import Tally, Timed
from benchmarks.meter import Cores, Reading


@dataclass(frozen=True, slots=True)
class Due:
    """What makes a loop an open one: nothing falls due after the window, and what was due before is left out."""

    from_ns: int
    offered: Offered


@dataclass(frozen=True, slots=True)
class Outcome:
    callers: int
    seconds: float
    sent: int
    ended: int  # answered with 200 between the window's two ends
    latencies_ms: list[float]
    stages_ms: dict[str, list[float]]
    cores: Cores
    busy: int
    errors: dict[str, int]
    late_ms: list[float]  # of an open loop
    offered: Offered | None = None

    @classmethod
    def of(
        cls, callers: int, tally: Tally, opened: Reading, closed: Reading, due: Due | None = None
    ) -> Outcome:
        ended = [one for one in tally.answers if opened.at_ns <= one.answer.ended_ns < closed.at_ns]
        counted = ended if due is None else [one for one in tally.answers if one.since_ns >= due.from_ns]
        return cls(
            callers=callers,
            seconds=(closed.at_ns - opened.at_ns) / 1e9,
            sent=tally.sent,
            ended=len(ended),
            latencies_ms=[round(one.latency_ms, 4) for one in counted],
            stages_ms=_stages_ms(counted),
            cores=opened.cores_until(closed),
            busy=tally.busy,
            errors=dict(tally.errors),
            late_ms=[round(one.late_ms, 4) for one in counted] if due else [],
            offered=due.offered if due else None,
        )


def merged(outcomes: Sequence[Outcome]) -> Measurement:
    """One measurement: rates, counts and cores are added, percentiles are those of all latencies together."""
    latencies_ms = sorted(chain.from_iterable(one.latencies_ms for one in outcomes))
    p50_ms, p95_ms, p99_ms = (percentile(latencies_ms, share) for share in (0.50, 0.95, 0.99))
    return Measurement(
        callers=sum(one.callers for one in outcomes),
        seconds=max(one.seconds for one in outcomes),
        sent=sum(one.sent for one in outcomes),
        answered=len(latencies_ms),
        rps=sum(one.ended / one.seconds for one in outcomes),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        split_ms=_split_ms(outcomes),
        cores=_cores(outcomes),
        busy=sum(one.busy for one in outcomes),
        errors=dict(sum((Counter(one.errors) for one in outcomes), Counter[str]())),
        offered=_offered(outcomes),
        processes=len(outcomes),
    )


def _stages_ms(answers: Sequence[Timed]) -> dict[str, list[float]]:
    stages: dict[str, list[float]] = {}
    for one in answers:
        told = server_timing(one.answer.server_timing.decode("latin-1"))
        for name, ms in {**told, "rest": one.latency_ms - sum(told.values())}.items():
            stages.setdefault(name, []).append(round(ms, 4))
    return stages


def _split_ms(outcomes: Sequence[Outcome]) -> dict[str, float]:
    names = dict.fromkeys(chain.from_iterable(one.stages_ms for one in outcomes))
    values = {name: [ms for one in outcomes for ms in one.stages_ms.get(name, ())] for name in names}
    return {name: statistics.median(some) for name, some in values.items()}


def _cores(outcomes: Sequence[Outcome]) -> Cores:
    """Only the first process reads the servers and the machine, and takes its fellows for others."""
    first, fellows = outcomes[0].cores, sum(one.cores.loadgen for one in outcomes[1:])
    others = None if first.others is None else max(0.0, first.others - fellows)
    return Cores(first.server, first.loadgen + fellows, others)


def _offered(outcomes: Sequence[Outcome]) -> Offered | None:
    all_offered = [one.offered for one in outcomes if one.offered is not None]
    if not all_offered:
        return None
    late_ms = sorted(chain.from_iterable(one.late_ms for one in outcomes))
    return replace(
        all_offered[0],
        rate_rps=sum(one.rate_rps for one in all_offered),
        due=sum(one.due for one in all_offered),
        late_p99_ms=percentile(late_ms, 0.99),
    )
