"""The backend's figures as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.backend_report import Added, Measured, Report
from benchmarks.comparison import Row
from benchmarks.comparison_text import short, verdict
from benchmarks.report import Spread
from benchmarks.table import grid, number, warnings

_PACKAGES = ("fastapi", "uvicorn", "uvloop", "nvidia-pytriton")
BUSY_CORES = 0.9  # of the one that the generator has


def as_text(report: Report) -> str:
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield from _head(report)
    yield ""
    yield "The backend, its sides fakes, against a bare FastAPI route that says a constant of the same size"
    yield from _sides(report.bare)
    if report.triton is not None:
        yield ""
        yield "The backend before a real Triton (fraction 1, no legacy), against that Triton asked directly over HTTP"
        yield from _sides(report.triton)
    yield ""
    yield from _parts(report)
    yield ""
    yield from _verdicts(report)


def _head(report: Report) -> Iterator[str]:
    machine, settings = report.machine, report.settings
    packages = ", ".join(f"{name} {found}" for name, found in machine.packages.items() if name in _PACKAGES)
    jpeg_bytes = report.bare.rows[0].cell.jpeg_bytes
    yield f"Machine: {machine.title}; {machine.os}, Python {machine.python}, {packages}"
    yield f"Load average before the start {machine.load_average_1m}; {report.date[:10]}, commit {short(report.commit)}"
    yield (
        f"JPEGs of {jpeg_bytes:,} bytes, closed loop, medians of {settings.rounds} rounds in turns, windows of "
        f"{settings.seconds:g} s ({settings.triton_seconds:g} s before Triton); CPU us: of all processes that serve "
        "it, for one request; CPU columns: cores kept busy"
    )


def _sides(measured: Measured) -> Iterator[str]:
    yield from grid(rows_of(measured))
    yield ""
    yield "Added, in the same round: median (lowest..highest)"
    yield from grid([_ADDED_HEAD, *(_added(one) for one in measured.added)])


def rows_of(measured: Measured) -> list[list[str]]:
    """What a caller sees of each side; the first row is the head."""
    return [_ROW_HEAD, *(_row(row) for row in measured.rows)]


_ROW_HEAD = ["side", "callers", "req/s", "min..max", "p50 ms", "p95 ms", "p99 ms", "CPU us", "batch", "requests",
             "side CPU", "loadgen CPU", "other CPU"]  # fmt: skip


def _row(row: Row) -> list[str]:
    cell = row.cell
    return [
        cell.service, str(cell.callers), number(cell.rps.median),
        f"{number(cell.rps.min)}..{number(cell.rps.max)}",
        *(number(value, 2) for value in (cell.p50_ms, cell.p95_ms, cell.p99_ms)),
        number(_cpu_us(row), 0), number(row.batch.median if row.batch else None, 2), str(cell.requests),
        number(cell.service_cpu_cores, 2), number(cell.loadgen_cpu_cores, 2), number(cell.other_cpu_cores, 2),
    ]  # fmt: skip


def _cpu_us(row: Row) -> float | None:
    cell = row.cell
    if cell.service_cpu_cores is None or not cell.rps.median:
        return None
    return cell.service_cpu_cores / cell.rps.median * 1e6


_ADDED_HEAD = ["side", "against", "callers", "x req/s", "p50 ms", "CPU us"]


def _added(one: Added) -> list[str]:
    return [
        one.side, one.against, str(one.callers), _spread(one.share, 3), _spread(one.p50_ms, 2), _spread(one.cpu_us, 0),
    ]  # fmt: skip


def _parts(report: Report) -> Iterator[str]:
    about, rows = parts_of(report)
    yield about
    yield from grid(rows)


def parts_of(report: Report) -> tuple[str, list[list[str]]]:
    """What was asked, and the parts; the first row is the head."""
    settings, whole = report.settings, report.parts[0].cpu_us.median
    about = (
        f"One detect in a process of its own, over a side that does nothing: CPU us, medians of {settings.repeats} x "
        f"{settings.calls}; the parts were asked alone"
    )
    rows = [
        [part.name, _spread(part.cpu_us, 1), f"{part.cpu_us.median / whole:.0%}"] for part in report.parts
    ]
    rest = [
        "the rest: values, waiting, colder caches",
        number(report.rest_us),
        f"{report.rest_us / whole:.0%}",
    ]
    return about, [["part", "us", "share"], *rows, rest]


def _verdicts(report: Report) -> Iterator[str]:
    for target in report.targets():
        yield f"{verdict(target)}: {target.side}: {number(target.measured, 2)} {target.what}; wanted {target.wanted}"
    if report.triton is None or not list(report.targets()):
        yield "Targets: not measured here"
    for name, measured in (("bare", report.bare), ("triton", report.triton)):
        yield from _flags(name, measured) if measured is not None else ()


def _flags(name: str, measured: Measured) -> Iterator[str]:
    yield from warnings([row.cell for row in measured.measured])
    for row in measured.measured:
        if row.cell.loadgen_cpu_cores >= BUSY_CORES:
            yield f"FLAG: {row.cell.service} at {row.cell.callers} callers: the generator was at its own limit"
    if not measured.agrees:
        yield f"FLAG: not all sides of {name} found the same: {measured.objects}"


def _spread(spread: Spread, digits: int) -> str:
    return f"{number(spread.median, digits)} ({number(spread.min, digits)}..{number(spread.max, digits)})"
