"""Where the time goes, as tables of a comparison: inside the servers, in each stage, by threads and streams."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.comparison import REFERENCE, Arranged, Comparison, Row
from benchmarks.report import Spread
from benchmarks.table import number

Rows = list[list[str]]

STAGES = ("decode", "fit", "infer", "finish")
# What a legacy service says of itself, and what Triton counts: under one heading.
TOLD = {
    "queue": ("queue",),
    "in": ("input",),
    "decode, fit": ("decode", "preprocess"),
    "model": ("inference", "model"),
    "finish, out": ("postprocess", "output"),
}


def inside(report: Comparison) -> Iterator[tuple[str, Rows]]:
    """A result of before these were measured has none of them."""
    if any(row.split_ms for row in report.rows):
        yield (
            "Where a request is, ms: what Triton counts and legacy says; a `_jpeg` model decodes inside `model`",
            [["side", "callers", *TOLD, "the rest of the p50"], *_split_rows(report)],
        )
    if report.stages:
        yield (
            "What one picture takes of a processor, ms, without a server; beside it what it takes served, 8 callers",
            [["engine", *STAGES, "all", "served", "the server's own"], *_stage_rows(report)],
        )
    if report.arranged:
        yield (
            "OpenVINO's threads and streams, in one process; times the first of each, which is the one in use",
            [
                ["precision", "arrangement", "pictures at once", "images/s", "CPU ms", "x"],
                *_arranged_rows(report),
            ],
        )


def times(spread: Spread) -> str:
    return f"{number(spread.median, 2)} ({number(spread.min, 2)}..{number(spread.max, 2)})"


def _split_rows(report: Comparison) -> Iterator[list[str]]:
    for row in report.measured:
        told = {**row.cell.split_ms, **row.split_ms}
        parts = [_sum(told, names) for names in TOLD.values()]
        if any(part is not None for part in parts):
            yield [
                report.title(row.cell.service),
                str(row.cell.callers),
                *map(_ms, parts),
                _ms(_rest(row, parts)),
            ]


def _sum(told: dict[str, float], names: tuple[str, ...]) -> float | None:
    known = [told[name] for name in names if name in told]
    return sum(known) if known else None


def _rest(row: Row, parts: list[float | None]) -> float | None:
    return None if row.cell.p50_ms is None else row.cell.p50_ms - sum(part or 0.0 for part in parts)


def _stage_rows(report: Comparison) -> Iterator[list[str]]:
    table = {(one.engine, one.stage): one.cpu_ms.median for one in report.stages}
    for engine in dict.fromkeys(one.engine for one in report.stages):
        stages = [table[engine, stage] for stage in STAGES]
        served = _served_ms(report, engine)
        own = None if served is None else served - sum(stages)
        yield [engine, *(_ms(value) for value in (*stages, sum(stages), served, own))]


def _served_ms(report: Comparison, engine: str) -> float | None:
    """Processor time of the server for one picture, where 8 callers ask for encoded ones."""
    for row in report.measured:
        side, cores = row.cell.service, row.cell.service_cpu_cores
        is_it = (
            side == "legacy"
            if engine == REFERENCE
            else report.is_target(side) and report.engine_of(side) == engine
        )
        if is_it and row.cell.callers == 8 and cores is not None and row.cell.rps.median:
            return cores * 1000 / row.cell.rps.median
    return None


def _arranged_rows(report: Comparison) -> Iterator[list[str]]:
    for one in report.arranged:
        pace, cpu = number(one.images_per_s.median), number(one.cpu_ms.median)
        yield [one.precision, one.name, str(one.batch), pace, cpu, _beside(one)]


def _beside(one: Arranged) -> str:
    return times(one.ratio)


def _ms(value: float | None) -> str:
    return number(value, 2)
