"""What the generator reaches, in words: for the terminal, and for docs/performance.md from a kept result. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.pages.where import measured_where
from benchmarks.report import DISTURBED_CORES
from benchmarks.table import grid, number

HEADERS = ("loop", "processes", "callers", "requests/s", "lowest..highest", "p95 ms", "late p99 ms", "CPU us")


def figures(result: Mapping[str, Any]) -> str:
    """Markdown of a kept result."""
    rows = [HEADERS, ["---"] + ["---:"] * (len(HEADERS) - 1), *rows_of(result["cells"])]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join([_about(result), table, *disturbed(result["cells"])])


def rows_of(cells: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    for cell in cells:
        rps = cell["rps"]
        yield [
            cell["loop"], str(cell["processes"]), str(cell["callers"] or "-"), f"{rps['median']:,.0f}",
            f"{rps['min']:,.0f}..{rps['max']:,.0f}", number(cell["p95_ms"], 2), number(cell["late_p99_ms"], 2),
            number(cell["loadgen_cpu_us"], 0),
        ]  # fmt: skip


def disturbed(cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    others = [cell["other_cpu_cores"] or 0.0 for cell in cells]
    if max(others, default=0.0) >= DISTURBED_CORES:
        yield f"DISTURBED: other processes kept up to {max(others):.2f} cores busy."


def as_text(result: Mapping[str, Any]) -> str:
    return "\n".join(
        [_about(result), *grid([HEADERS, *rows_of(result["cells"])]), *disturbed(result["cells"])]
    )


def _about(result: Mapping[str, Any]) -> str:
    settings = result["settings"]
    return (
        f"{measured_where(result)}"
        f" The generator against an endpoint that does nothing; JPEGs of {result['jpeg_bytes']:,} bytes, medians of"
        f" {settings['rounds']} x {settings['seconds']:g} s. Open: the highest Poisson rate without a failure whose"
        f" p95, from when each request was due, stays under {settings['limit_ms']:g} ms."
    )
