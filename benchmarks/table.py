"""A report as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.report import DISTURBED_CORES, DISTURBED_SHARE, ENOUGH, STAGES, Cell, Report

SAID_ONE_BY_ONE = 5  # rows that were disturbed

Column = Callable[[Cell], str]


def as_text(report: Report) -> str:
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    machine, settings = report.machine, report.settings
    yield f"Machine: {machine.title}; {machine.os}, Python {machine.python}, torch {machine.torch}"
    yield f"Load average before the start {machine.load_average_1m}; CPU columns are cores kept busy"
    yield f"Closed loop, medians of {settings.repeats} x {settings.seconds:g} s; latency is the caller's"
    yield ""
    yield from _grid(_FIGURES, report.cells)
    yield ""
    yield "The split, medians in ms; rest = HTTP, the event loop and the wait for a decoding thread"
    yield from _grid(_SPLIT, report.cells)
    yield ""
    yield ceiling_verdict(report.smallest_ceiling_ratio)
    yield from warnings([*report.cells, *report.ceiling])


def ceiling_verdict(smallest: float | None) -> str:
    if smallest is None:
        return "FLAG: no request was answered."
    if smallest < ENOUGH:
        return f"FLAG: the generator's ceiling is only {smallest:.1f} x a measured rate: it may be the limit."
    return f"The generator's ceiling is at least {smallest:.0f} x every measured rate: it was not the limit."


def warnings(cells: Sequence[Cell], cores: int = 1) -> Iterator[str]:
    """Of a machine with so many cores: what watches a GPU takes more of one than would leave two cores undisturbed."""
    for cell in cells:
        for reason, times in {**cell.errors, "busy (503)": cell.busy}.items():
            if times:
                yield f"NOT ANSWERED: {_place(cell)}: {times} x {reason}"
        if not cell.requests:
            yield f"NO FIGURE: {_place(cell)}: nothing was answered in its windows; try more --seconds"
    yield from _disturbed(cells, max(DISTURBED_CORES, DISTURBED_SHARE * cores))


def _disturbed(cells: Sequence[Cell], from_cores: float) -> Iterator[str]:
    others = [(cell, cell.other_cpu_cores or 0.0) for cell in cells]
    found = [(cell, busy) for cell, busy in others if busy >= from_cores]
    if len(found) > SAID_ONE_BY_ONE:
        least, *_, most = sorted(busy for _, busy in found)
        yield (
            f"DISTURBED: {len(found)} of {len(cells)} rows: other processes kept {least:.2f} to {most:.2f} cores "
            "busy (*other CPU*)"
        )
        return
    for cell, busy in found:
        yield f"DISTURBED: {_place(cell)}: other processes kept {busy:.2f} cores busy"


def _place(cell: Cell) -> str:
    return f"{cell.service} {cell.size} at {cell.callers} callers"


def number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _ceiling(cell: Cell) -> float | None:
    return None if cell.ceiling_ratio is None else cell.ceiling_ratio * cell.rps.median


def _stage(name: str) -> Column:
    return lambda cell: number(cell.split_ms.get(name), 2)


_PLACE: dict[str, Column] = {
    "service": lambda cell: cell.service,
    "size": lambda cell: cell.size,
    "callers": lambda cell: str(cell.callers),
}
_FIGURES: dict[str, Column] = {
    **_PLACE,
    "req/s": lambda cell: number(cell.rps.median),
    "min..max": lambda cell: f"{number(cell.rps.min)}..{number(cell.rps.max)}",
    "p50 ms": lambda cell: number(cell.p50_ms),
    "p95 ms": lambda cell: number(cell.p95_ms),
    "p99 ms": lambda cell: number(cell.p99_ms),
    "requests": lambda cell: str(cell.requests),
    "service CPU": lambda cell: number(cell.service_cpu_cores, 2),
    "loadgen CPU": lambda cell: number(cell.loadgen_cpu_cores, 3),
    "other CPU": lambda cell: number(cell.other_cpu_cores, 2),
    "ceiling/s": lambda cell: number(_ceiling(cell), 0),
    "ratio": lambda cell: number(cell.ceiling_ratio, 0),
}
_SPLIT: dict[str, Column] = {**_PLACE, **{stage: _stage(stage) for stage in STAGES}}


def _grid(columns: dict[str, Column], cells: Sequence[Cell]) -> Iterator[str]:
    yield from grid([list(columns), *([column(cell) for column in columns.values()] for cell in cells)])


def grid(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first row is the head."""
    widths = [max(map(len, words)) for words in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True))
