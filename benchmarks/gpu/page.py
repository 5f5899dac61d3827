"""What a kept result of a GPU says, as text and as markdown: the targets, the tracks, and the bare network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.comparison_inside import inside
from benchmarks.comparison_text import Rows, markdown_table, measured_where, of_the_sides
from benchmarks.gpu.report import GpuReport
from benchmarks.table import ceiling_verdict, grid, number, warnings


def figures(result: Mapping[str, Any]) -> str:
    """Of one network; one file holds one."""
    report = GpuReport.of(result)
    parts = [_where(report), "", *(f"- {line}" for line in _verdicts(report)), ""]
    for title, rows in _tables(report):
        parts += [f"**{title}**", "", *markdown_table(rows), ""]
    return "\n".join([*parts, *(f"- {line}" for line in _remarks(report))]).strip() + "\n"


def as_text(report: GpuReport) -> str:
    lines = [_where(report), ""]
    for title, rows in _tables(report):
        lines += [title, *grid(rows), ""]
    return "\n".join([*lines, *_verdicts(report), *_remarks(report)])


def _where(report: GpuReport) -> str:
    return f"{report.network}, FP16, on one {report.bare.device}. {measured_where(report.served)}"


def _verdicts(report: GpuReport) -> Iterator[str]:
    for one in report.targets():
        yield f"{'MET' if one.met else 'NOT MET'}: {report.network}, {one.words.format(number(one.measured, 2))}"


def _remarks(report: GpuReport) -> Iterator[str]:
    yield ceiling_verdict(report.served.smallest_ceiling_ratio)
    yield from warnings([row.cell for row in report.served.measured], report.served.machine.cores)


def _tables(report: GpuReport) -> Iterator[tuple[str, Rows]]:
    yield from of_the_sides(report.served)
    yield from inside(report.served)
    yield (
        "The GPU meanwhile: share of the time in which it was busy, and what a picture cost",
        [["side", "callers", "req/s", "busy %", "W", "J per picture", "held MiB"], *_beside_rows(report)],
    )
    yield _limit_words(report), [["batch", *_whats(report)], *_rate_rows(report)]
    yield "Where a batch's time goes, us of one picture, each stage waited for", _stage_rows(report)


def _limit_words(report: GpuReport) -> str:
    network, roofline = report.bare.network, report.bare.roofline
    return (
        f"Without a server, images/s; {number(report.bare.flops_per_image / 1e9)} GFLOP a picture allow "
        f"{number(roofline)} on this chip, of which the network at its best does "
        f"{number(network.images_per_s / roofline, 2)}"
    )


def _beside_rows(report: GpuReport) -> Iterator[list[str]]:
    for row in report.served.measured:
        seen, rps = row.beside, row.cell.rps.median
        if seen:
            yield [
                report.served.title(row.cell.service), str(row.cell.callers), number(rps),
                number(seen["busy_percent"]), number(seen["watts"]), number(seen["watts"] / rps, 3),
                number(seen["held_mib"]),
            ]  # fmt: skip


def _whats(report: GpuReport) -> list[str]:
    return list(dict.fromkeys(one.what for one in report.bare.rates))


def _rate_rows(report: GpuReport) -> Iterator[list[str]]:
    rates = {(one.what, one.batch): one.images_per_s for one in report.bare.rates}
    for batch in sorted({one.batch for one in report.bare.rates}):
        yield [str(batch), *(number(rates.get((what, batch))) for what in _whats(report))]


def _stage_rows(report: GpuReport) -> Rows:
    stages = report.bare.stages_us
    names = list(dict.fromkeys(name for one in stages.values() for name in one))
    rows = [[str(batch), *(number(one.get(name)) for name in names)] for batch, one in sorted(stages.items())]
    return [["batch", *names], *rows]
