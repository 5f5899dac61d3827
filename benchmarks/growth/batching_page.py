"""Cameras before a real Triton, as Markdown: what batching gains, how many in flight it takes, what breaks first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.comparison import CEILING, Ratio, Row, Target
from benchmarks.comparison_text import verdict
from benchmarks.growth.batching import BATCHED, CAMERAS, ENOUGH, Batching, Crowd, Rule
from benchmarks.report import Spread
from benchmarks.table import number
from docs.making.markdown import table

LEAST_GAIN = 2.5  # of the sources' "2.5 to 4 times" by dynamic batching
ROWS = ("side", "cameras", "frames/s", "lowest to highest", "p50 ms", "p95 ms", "batch", "ceiling x")
RATIOS = ("cameras", "frames/s", "p95")
CROWDS = (
    "callers",
    "answered/s",
    "p50 ms",
    "p95 ms",
    "refused (503)",
    "late (504)",
    "what its metrics counted meanwhile",
)


def batching_parts(batching: Batching | None) -> Iterator[str]:
    if batching is None:
        return
    size = batching.plan.size
    yield "### Cameras before Triton, with dynamic batching and without"
    yield "\n".join(_verdicts(batching))
    yield f"JPEGs of {size}; each camera has one frame open. {BATCHED.name}: {_built(batching)}."
    yield table(ROWS, [_row(row) for row in batching.rows if row.cell.service != CEILING])
    yield "With batching over without, in the same round: median (lowest to highest)"
    yield table(RATIOS, map(_ratio, batching.ratios))
    yield "### Requests in flight: 2 x batch x instances"
    yield _rule(batching.rule)
    yield "### Far too many"
    yield table(CROWDS, map(_crowd, batching.crowds))


def targets(batching: Batching) -> Iterator[Target]:
    for ratio in batching.ratios:
        if ratio.callers in CAMERAS:
            side, gain = f"{ratio.callers} cameras", ratio.rps.median
            what = "x the frames/s with dynamic batching"
            yield Target(side, what, f"≥ {LEAST_GAIN} x", gain, gain >= LEAST_GAIN, batching.disturbed)
    side, share = f"{batching.rule.in_flight} requests in flight", batching.rule.share.median
    yield Target(side, "of the highest rate", f"≥ {ENOUGH}", share, share >= ENOUGH, batching.disturbed)


def _verdicts(batching: Batching) -> Iterator[str]:
    for target in targets(batching):
        yield (
            f"- {verdict(target)}: {target.side}: {number(target.measured, 2)} {target.what}; wanted {target.wanted}"
        )
    if batching.disturbed:
        yield "- DISTURBED: other processes took the cores in some of these windows"


def _built(batching: Batching) -> str:
    about = batching.sides[BATCHED.name]
    return f"engine {about['engine']}, max_batch {about['max_batch']}, {about['instances']} instance(s)"


def _row(row: Row) -> Sequence[str]:
    cell = row.cell
    return (
        cell.service, str(cell.callers), number(cell.rps.median), f"{number(cell.rps.min)} to {number(cell.rps.max)}",
        number(cell.p50_ms), number(cell.p95_ms), number(row.batch.median if row.batch else None, 2),
        number(cell.ceiling_ratio, 0),
    )  # fmt: skip


def _ratio(ratio: Ratio) -> Sequence[str]:
    return str(ratio.callers), _spread(ratio.rps), _spread(ratio.p95)


def _spread(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.min:.2f} to {spread.max:.2f})"


def _rule(rule: Rule) -> str:
    return (
        f"2 x {rule.max_batch} x {rule.instances} = {rule.in_flight} in flight reach {_spread(rule.share)} of the "
        f"highest rate at any number that was tried; {rule.first_enough} reach {ENOUGH:.0%} of it already. What comes "
        "beyond the rule waits, and gets no more."
    )


def _crowd(crowd: Crowd) -> Sequence[str]:
    reasons = ", ".join(f"`{name}` {count:,}" for name, count in crowd.reasons.items())
    return (
        str(crowd.callers), number(crowd.answered_per_s), number(crowd.p50_ms), number(crowd.p95_ms),
        f"{crowd.refused:,} of {crowd.sent:,}",
        f"{crowd.late:,}", reasons or "nothing",
    )  # fmt: skip
