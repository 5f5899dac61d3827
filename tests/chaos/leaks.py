"""Whether what a stack holds grows: memory by its slope over the requests, all else by its first and its last third.

Warm-up is over when every fault was had once, since each takes memory of its own the first time; or, in a run too short
for that, after a third of it. What is judged is judged in quiet moments, and of the backend's own processes; Triton's
and legacy's figures are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from tests.chaos.sampling import Held, Sample

MOST_MIB = 10.0  # by 100,000 requests
PER_REQUESTS = 100_000
MOST_ANYWAY_MIB = (
    8.0  # of growth that tells nothing, however few the requests: allocators keep what a burst took
)
MOST_MORE = {"descriptors": 32, "threads": 8, "tasks": 32}  # in one process, from the first third to the last
MOST_SERIES_MORE = 48  # a reason or a code that first comes late brings a few, a caller's label one a request
LEAST_SAMPLES = 6
OURS = ("launcher", "worker")


@dataclass(frozen=True)
class Judged:
    kind: str
    holds: bool
    words: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def judged(samples: Sequence[Sample], warm_at_s: float) -> list[Judged]:
    """`samples` of the whole run."""
    quiet = [one for one in samples if one.quiet and one.at_s >= warm_at_s]
    if len(quiet) < LEAST_SAMPLES:
        return [Judged("samples", False, f"{len(quiet)} quiet samples after warm-up say nothing")]
    counts = [_flat(kind, quiet, most) for kind, most in MOST_MORE.items()]
    return [_alive(samples), _memory(quiet), *counts, _labels(quiet)]


def _alive(samples: Sequence[Sample]) -> Judged:
    """No fault of a soak ends a process of ours: whoever ended did so by itself."""
    seen = {held.pid for one in samples for held in ours(one).values()}
    now = {held.pid for held in ours(samples[-1]).values()}
    return Judged("processes", seen == now, f"{len(now)} live, {len(seen - now)} ended meanwhile")


def _memory(quiet: Sequence[Sample]) -> Judged:
    whole = slope_of(quiet, lambda one: sum(held.uss_mib for held in ours(one).values()))
    grown_mib = whole.mib * (quiet[-1].requests - quiet[0].requests) / PER_REQUESTS
    holds = whole.mib <= MOST_MIB or grown_mib <= MOST_ANYWAY_MIB
    words = f"{whole.mib:+.2f} MiB by 100,000 requests ({whole.low:+.2f} to {whole.high:+.2f}), {grown_mib:+.1f} here"
    others = {name: round(_of_process(quiet, name).mib, 2) for name in sorted(quiet[-1].held)}
    figures = {"mib_by_100_000": round(whole.mib, 3), "grown_mib": round(grown_mib, 2), "by_process": others}
    return Judged("memory", holds, words, figures)


@dataclass(frozen=True)
class Slope:
    mib: float  # by 100,000 requests: the median of the slopes between all pairs of samples (Theil and Sen)
    low: float  # … and where it lies in 95 of 100 cases
    high: float


def slope_of(samples: Sequence[Sample], memory_mib: Callable[[Sample], float]) -> Slope:
    requests = np.array([one.requests for one in samples]) / PER_REQUESTS
    if len(set(requests)) < 2:
        return Slope(0.0, 0.0, 0.0)
    found = stats.theilslopes([memory_mib(one) for one in samples], requests)
    return Slope(float(found.slope), float(found.low_slope), float(found.high_slope))


def _of_process(quiet: Sequence[Sample], name: str) -> Slope:
    """Of one that has lived through all of it; one that was started anew has no slope."""
    pid = quiet[-1].held[name].pid
    same = [one for one in quiet if name in one.held and one.held[name].pid == pid]
    return slope_of(same, lambda one: one.held[name].uss_mib)


def _flat(kind: str, quiet: Sequence[Sample], most: int) -> Judged:
    """The least of each third: what a burst leaves for a while is not in it, what stays for ever is."""
    first, last = thirds(quiet)
    grown = {
        name: _least(last, name, kind) - _least(first, name, kind)
        for name in ours(quiet[-1])
        if all(_counted(one.held.get(name), kind) for one in (*first, *last))
    }
    if not grown:
        return Judged(kind, False, "nobody counted them")
    worst = max(grown, key=lambda name: grown[name])
    words = f"{grown[worst]:+d} in {worst} ({_least(last, worst, kind)} at the end), at most {most:+d}"
    if grown[worst] > most and kind == "tasks":
        words += f": {_what_grew(first, last, worst)}"
    return Judged(kind, grown[worst] <= most, words, {"by_process": grown})


def _counted(held: Held | None, kind: str) -> bool:
    return held is not None and getattr(held, kind) is not None


def _least(samples: Sequence[Sample], name: str, kind: str) -> int:
    return min(getattr(one.held[name], kind) for one in samples)


def _what_grew(first: Sequence[Sample], last: Sequence[Sample], name: str) -> str:
    before, now = Counter(first[0].held[name].names or {}), Counter(last[-1].held[name].names or {})
    return ", ".join(f"{coroutine} {count:+d}" for coroutine, count in (now - before).most_common(3))


def _labels(quiet: Sequence[Sample]) -> Judged:
    first, last = thirds([one for one in quiet if one.series])
    if not first:
        return Judged("labels", False, "nobody counted them")
    before, now = min((one.series for one in first), key=_sum), min((one.series for one in last), key=_sum)
    grown = _sum(now) - _sum(before)
    words = f"{grown:+d} series ({_sum(now)} at the end), at most {MOST_SERIES_MORE:+d}"
    if grown > MOST_SERIES_MORE:
        grew = (Counter(now) - Counter(before)).most_common(3)
        words += ": " + ", ".join(f"{metric} {count:+d}" for metric, count in grew)
    return Judged("labels", grown <= MOST_SERIES_MORE, words, {"series": _sum(now), "grown": grown})


def _sum(series: Mapping[str, int]) -> int:
    return sum(series.values())


def thirds(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The first and the last."""
    size = len(samples) // 3
    return samples[:size], samples[-size:]


def ours(sample: Sample) -> dict[str, Held]:
    return {name: held for name, held in sample.held.items() if name.startswith(OURS)}
