"""A kept baseline as Markdown: the legacy services at the smallest pictures; all sizes stand in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from benchmarks.plot import TITLES
from benchmarks.report import Cell, Report
from benchmarks.table import ceiling_verdict, number, warnings
from docs.making.markdown import table

HEADERS = (
    "service",
    "callers",
    "requests/s",
    "lowest..highest",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "requests",
    "ceiling",
)
_REPORT = TypeAdapter(Report)


def figures(result: Mapping[str, Any]) -> str:
    report = _REPORT.validate_python(result)
    smallest = report.settings.sizes[0]
    cells = [cell for name in report.settings.services for cell in report.cells_of(name, smallest)]
    flags = [f"- {line}" for line in warnings(cells)]
    parts = [_about(report, smallest), table(HEADERS, [_row(cell) for cell in cells]), "\n".join(flags)]
    return "\n\n".join(part for part in (*parts, ceiling_verdict(report.smallest_ceiling_ratio)) if part)


def _about(report: Report, size: str) -> str:
    machine, settings = report.machine, report.settings
    where = ", ".join(_device(name, about) for name, about in report.services.items())
    return (
        f"{machine.title}; {machine.os}, Python {machine.python}, torch {machine.torch}; {report.date[:10]}. Pictures"
        f" of {size.replace('x', ' × ')} pixels; medians of {settings.repeats} × {settings.seconds:g} s; {where}."
    )


def _device(name: str, about: Mapping[str, Any]) -> str:
    device, weights = about.get("device", "a device without a name"), about.get("weights", "unknown")
    return f"{TITLES.get(name, name)} on {device} with {weights} weights"


def _row(cell: Cell) -> list[str]:
    return [
        TITLES.get(cell.service, cell.service), str(cell.callers), number(cell.rps.median),
        f"{number(cell.rps.min)}..{number(cell.rps.max)}", *_latencies(cell), str(cell.requests),
        "-" if cell.ceiling_ratio is None else f"{cell.ceiling_ratio:.0f} ×",
    ]  # fmt: skip


def _latencies(cell: Cell) -> Iterator[str]:
    yield from (number(value) for value in (cell.p50_ms, cell.p95_ms, cell.p99_ms))
