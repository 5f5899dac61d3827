"""What a run of the generator says: one measurement, whatever the loop and however many processes sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.meter import Cores


@dataclass(frozen=True, slots=True)
class Offered:
    """What an open loop asked for, and how well the generator kept to it."""

    rate_rps: float
    arrivals: str  # poisson or even
    due: int  # requests that fell due in the window, answered or not
    late_p99_ms: (
        float | None
    )  # sent after they were due: the generator's own delay and a full set of connections


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run: rate, latencies, split and cores of the window, `sent` and failures of the whole.

    In an open loop `answered` and the latencies are of the requests that fell due in the window, and a latency
    begins when its request was due; `rps` are the answers that came in the window, in either loop.
    """

    callers: int  # in an open loop: as many as may be open at a time
    seconds: float
    sent: int
    answered: int  # with 200, in the window
    rps: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    split_ms: dict[str, float]  # medians of each stage in Server-Timing, and `rest`: latency minus all stages
    cores: Cores
    busy: int  # answered with 503
    errors: dict[str, int]
    offered: Offered | None = None  # a closed loop offers nothing: it waits
    processes: int = 1  # that sent

    @property
    def failures(self) -> int:
        """Requests without a 200, those of a full queue among them."""
        return self.busy + sum(self.errors.values())


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank: the smallest value that `share` of all values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def server_timing(header: str) -> dict[str, float]:
    """`decode;dur=1.5, inference;dur=20` → milliseconds by name; entries without a duration are left out."""
    durations = {}
    for entry in header.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "dur":
                durations[name] = float(value)
    return durations
