"""A kept result of the growth suite as Markdown: the series by what grows, and the cameras before a real Triton."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.backend_text import BUSY_CORES
from benchmarks.growth.batching_page import batching_parts
from benchmarks.growth.report import Report
from benchmarks.growth.series import Point, Series
from benchmarks.growth.servers import Ceiling
from benchmarks.report import DISTURBED_CORES
from docs.making.markdown import table

AXES = {
    "callers": "Callers",
    "picture": "The size of the picture",
    "objects": "Objects in it",
    "cameras": "Cameras",
    "workers": "Workers",
    "rows": "Rows in SQLite: changes, samples, counts, each so many",
    "rows-redis": "Rows in Redis",
}
HEADERS = ("what", "unit", "at the least", "at the most", "one more costs", "exponent", "should be", "is")


def figures(result: Mapping[str, Any]) -> str:
    return as_text(Report.of(result))


def as_text(report: Report) -> str:
    return "\n\n".join([head(report), *series_parts(report), *batching_parts(report.batching)])


def head(report: Report) -> str:
    machine, told = report.machine, report.settings
    return (
        f"{machine.title}; {machine.os}, Python {machine.python}; load average before the start "
        f"{machine.load_average_1m}; {report.date[:10]}, commit {(report.commit or 'none')[:12]}. Medians of "
        f"{told.rounds} rounds in turns, before servers of {told.load_rounds}."
    )


def series_parts(report: Report, pictures: Mapping[str, str] | None = None) -> Iterator[str]:
    """`pictures`: of an axis, where its plot lies."""
    if report.series:
        yield "\n".join(verdicts(report.series))
    for axis, title in AXES.items():
        own = [one for one in report.series if one.question.axis == axis]
        if own:
            yield f"### {title}"
            yield table(HEADERS, map(_row, own))
            if pictures and axis in pictures:
                yield f"![{title}]({pictures[axis]})"
    if report.ceiling is not None:
        yield _ceiling(report.ceiling)


def verdicts(series: Sequence[Series]) -> Iterator[str]:
    good = sum(one.met is True for one in series)
    all_met = "MET" if good == len(series) else "NOT MET"
    yield f"- {all_met}: {good} of {len(series)} series grow no faster than they should"
    for one in series:
        name = f"{one.question.title} (by {one.question.x})"
        if one.met is False:
            yield f"- NOT MET: {name}: {one.verdict}; wanted {one.question.expected}"
        if one.met is None:
            yield f"- UNCLEAR: {name}: its rounds lie too far apart to tell"
        if (one.other_cores or 0.0) >= DISTURBED_CORES:
            yield f"- DISTURBED: {name}: other processes kept {one.other_cores:.2f} cores busy"


def _row(one: Series) -> Sequence[str]:
    question, slope = one.question, one.slope
    bound = f"; {question.bound}" if question.bound else ""
    return (
        f"{question.title}{bound}", question.y, _place(one.points[0], question.x), _place(one.points[-1], question.x),
        amount(slope.per_unit), f"{slope.exponent:.2f} ({slope.low:.2f} to {slope.high:.2f})", question.expected,
        one.verdict,
    )  # fmt: skip


def _place(point: Point, what: str) -> str:
    return f"{amount(point.median)} at {point.x:,g} {what}"


def amount(value: float) -> str:
    """Three digits of it."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else "0"


def _ceiling(ceiling: Ceiling) -> str:
    flag = "FLAG: the generator was at its own limit. " if ceiling.busiest_cores >= BUSY_CORES else ""
    return (
        f"{flag}The generator's ceiling, {ceiling.per_s:,.0f} requests/s at {ceiling.callers} callers, is "
        f"{ceiling.ratio:.1f} x the highest rate of the backend with fake sides; it used {ceiling.busiest_cores:.2f} "
        "of its one core at the most."
    )
