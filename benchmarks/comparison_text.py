"""A comparison as plain text, and as the figures of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.comparison import (
    BASE,
    BATCHED_TWIN,
    CEILING,
    TARGET_CALLERS,
    Comparison,
    Loop,
    Parts,
    Ratio,
    Row,
    Target,
)
from benchmarks.comparison_inside import inside, times
from benchmarks.sides import OBJECT_SCORE
from benchmarks.table import ceiling_verdict, grid, number, warnings

Rows = list[list[str]]


def as_text(report: Comparison) -> str:
    return "\n".join(_lines(report))


def as_markdown(report: Comparison) -> str:
    parts = [measured_where(report), *(f"- {line}" for line in _verdicts(report)), ""]
    for title, rows in _tables(report):
        parts += [f"**{title}**", "", *markdown_table(rows), ""]
    parts += [*(_about(report)), *(f"- {line}" for line in _flags(report))]
    return "\n".join(parts).strip() + "\n"


def _lines(report: Comparison) -> Iterator[str]:
    yield measured_where(report)
    yield ""
    for title, rows in _tables(report):
        yield title
        yield from grid(rows)
        yield ""
    yield from _about(report)
    yield from _verdicts(report)
    yield from _flags(report)


def measured_where(report: Comparison) -> str:
    machine = report.machine
    packages = ", ".join(f"{name} {found}" for name, found in machine.packages.items() if name in _NAMED)
    return (
        f"{machine.title}; {machine.os}, Python {machine.python}, {packages}; load average before the start "
        f"{machine.load_average_1m}; {report.date[:10]}, commit {short(report.commit)}."
    )


def short(commit: str | None) -> str:
    """Twelve digits, and whether files differed from it."""
    digits, _, dirty = (commit or "none yet").partition("-")
    return digits[:12] + (f"-{dirty}" if dirty else "")


_NAMED = ("torch", "openvino", "nvidia-pytriton")


def _tables(report: Comparison) -> Iterator[tuple[str, Rows]]:
    yield from of_the_sides(report)
    yield (
        "Without a server: decode, prepare, infer, finish in one process; images/s, and times torch one by one",
        [_LOOP_HEAD, *(_loop_row(one) for one in report.loops)],
    )
    yield (
        "Where the ratio to legacy comes from: total = engine x side by side x rest",
        [_PARTS_HEAD, *(_parts_row(report, one) for one in report.parts())],
    )
    yield from inside(report)


def of_the_sides(report: Comparison) -> Iterator[tuple[str, Rows]]:
    settings = report.settings
    yield (
        f"What a caller sees: {settings.size} JPEGs, closed loop, medians of {settings.rounds} x "
        f"{settings.seconds:g} s; CPU columns are cores kept busy",
        [_CALLER_HEAD, *(_caller_row(report, row) for row in report.measured)],
    )
    yield (
        "Against each other, in the same round: median (lowest..highest)",
        [_RATIO_HEAD, *(_ratio_row(report, one) for one in report.ratios)],
    )


_CALLER_HEAD = ["side", "callers", "req/s", "min..max", "p50 ms", "p95 ms", "p99 ms", "requests", "batch",
                "side CPU", "loadgen CPU", "other CPU"]  # fmt: skip


def _caller_row(report: Comparison, row: Row) -> list[str]:
    cell = row.cell
    return [
        report.title(cell.service), str(cell.callers), number(cell.rps.median),
        f"{number(cell.rps.min)}..{number(cell.rps.max)}",
        *(number(value) for value in (cell.p50_ms, cell.p95_ms, cell.p99_ms)),
        str(cell.requests), number(row.batch.median if row.batch else None, 2),
        number(cell.service_cpu_cores, 2), number(cell.loadgen_cpu_cores, 3), number(cell.other_cpu_cores, 2),
    ]  # fmt: skip


_RATIO_HEAD = ["side", "against", "callers", "req/s", "p50", "p95"]


def _ratio_row(report: Comparison, one: Ratio) -> list[str]:
    return [
        report.title(one.side), report.title(one.against), str(one.callers),
        *(times(spread) for spread in (one.rps, one.p50, one.p95)),
    ]  # fmt: skip


_LOOP_HEAD = ["engine", "batch", "images/s", "x torch"]


def _loop_row(one: Loop) -> list[str]:
    pace = one.images_per_s
    spread = f"{number(pace.median)} ({number(pace.min)}..{number(pace.max)})"
    return [one.engine, str(one.batch), spread, times(one.ratio)]


_PARTS_HEAD = ["side", "callers", "total", "engine", "side by side", "rest"]


def _parts_row(report: Comparison, one: Parts) -> list[str]:
    figures = (one.total, one.engine, one.side_by_side, one.rest)
    return [report.title(one.side), str(one.callers), *(number(value, 2) for value in figures)]


def _verdicts(report: Comparison) -> Iterator[str]:
    targets = list(report.targets())
    if not targets:
        yield f"Targets: not measured, they are about {TARGET_CALLERS} callers"
    for target in targets:
        yield f"{verdict(target)}: {_sentence(report, target)}"
    for variant, judged in report.parity.items():
        yield f"{'KEPT' if judged['kept'] else 'REFUSED, so not measured'}: {variant}: {judged['words']}"


def verdict(target: Target) -> str:
    if target.disturbed:
        return "UNDECIDED, the machine was disturbed"
    return "MET" if target.met else "NOT MET"


def _sentence(report: Comparison, target: Target) -> str:
    return (
        f"{report.detector}, {report.title(target.side)} at {TARGET_CALLERS} callers: {number(target.measured, 2)} x"
        f" legacy's {target.what}; wanted {target.wanted} x"
    )


def _about(report: Comparison) -> Iterator[str]:
    """What the columns mean, and whether the sides did the same work."""
    yield (
        "Engine: OpenVINO over torch, one picture at a time in one process. Side by side: several at once over one at "
        "a time, there too. Rest: what the servers add or lose: HTTP, processes, waiting, and what they overlap."
    )
    found = ", ".join(
        f"{report.title(side)} {count}" for side, count in report.objects.items() if side != CEILING
    )
    yield f"Objects found at a score of {OBJECT_SCORE} or more in the {report.settings.pictures} pictures: {found}."
    yield ceiling_verdict(report.smallest_ceiling_ratio)


def _flags(report: Comparison) -> Iterator[str]:
    yield from warnings([row.cell for row in report.measured])
    if BASE in report.objects and report.objects[BASE] != report.objects.get(
        BATCHED_TWIN, report.objects[BASE]
    ):
        yield "FLAG: the same network in another engine finds another number of objects."


def markdown_table(rows: Rows) -> Iterator[str]:
    head, *body = rows
    yield _markdown_row(head)
    yield _markdown_row(["---", *["---:"] * (len(head) - 1)])
    for row in body:
        yield _markdown_row(row)


def _markdown_row(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"
