"""What keeps a ramp before its first step: legacy is measured, and comparisons show what there is to see."""

from __future__ import annotations

from collections.abc import Iterator

from backend.ramp.diagnosis import fault_of
from backend.ramp.figures import Policy, asked_of, band, counted_of
from backend.ramp.ground import slow_bin_of
from backend.ramp.phrases import percent
from backend.rollout.books import MAX_BIN, Counts, times
from backend.rollout.ramps import Ramp


def waits_for_baseline(ramp: Ramp, counts: Counts, version: str, policy: Policy) -> Iterator[str]:
    if (measured := _measured(counts)) < policy.baseline_times:
        yield f"{measured:,} of {policy.baseline_times:,} times of legacy are measured"
    else:
        yield from _impatience(counts)
    if not version:
        yield "Triton has not answered in any comparison yet"
    yield from _doubt(ramp, counts, policy)


def baseline_eta_s(ramp: Ramp, counts: Counts, policy: Policy, now: float) -> float | None:
    measured = _measured(counts)
    if not measured or measured >= policy.baseline_times:
        return None
    return (policy.baseline_times - measured) * (now - ramp.step_at) / measured


def _measured(counts: Counts) -> int:
    return sum(times(counts, "legacy").values())


def _impatience(counts: Counts) -> Iterator[str]:
    """Callers who hung up lie in the last bin: with θ there, no time of Triton would ever be slow."""
    if slow_bin_of(counts) == MAX_BIN:
        share = times(counts, "legacy")[MAX_BIN] / _measured(counts)
        yield f"callers give up on legacy in {percent(share)} of its times: latency cannot be judged"


def _doubt(ramp: Ramp, counts: Counts, policy: Policy) -> Iterator[str]:
    """Comparisons may speak against the first step before there is one."""
    asked, counted = asked_of("disagreement", ramp.step + 1, policy), counted_of("disagreement", counts, None)
    if counted.worse > counted.better and band(asked, counted)[0] > asked.bound:
        named = fault_of("disagreement", counts, None)
        yield f"disagreement: {percent(counted.rate or 0.0)} before the first step already ({named})"
