"""docs/scaling.md: how to size by hand, then what was measured, from the runs' own files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.growth.batching_page import batching_parts
from benchmarks.growth.page import AXES, head, series_parts
from benchmarks.growth.report import Report
from benchmarks.growth.sizing_page import sizing
from docs.making.markdown import begun, joined

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
GROWTH, CAPACITIES = "growth-cpu", "capacity-*.json"
NONE_KEPT = "No run is kept yet: `python -m benchmarks.growth` writes it."


def page(results: Path = RESULTS) -> str:
    source = f"benchmarks/results/{GROWTH}.json and {CAPACITIES}"
    return joined(begun("Scaling", source, "scaling"), *_capacities(results), *_growth(results))


def _capacities(results: Path) -> Iterator[str]:
    files = sorted(results.glob(CAPACITIES))
    yield "## What was held"
    if files:
        names = ", ".join(f"[{file.stem}](../benchmarks/results/{file.name})" for file in files)
        yield (
            "Cameras of which no more than every hundredth frame was lost, by `python -m benchmarks.capacity`; what the"
            f" figures do not say stands in [cameras.md](cameras.md). From {names}."
        )
        yield sizing([json.loads(file.read_text()) for file in files])
    else:
        yield "No run is kept yet: `python -m benchmarks.capacity` writes it."


def _growth(results: Path) -> Iterator[str]:
    file = results / f"{GROWTH}.json"
    report = Report.of(json.loads(file.read_text())) if file.exists() else None
    yield "## Batching, and how many in flight"
    yield from batching_parts(report.batching) if report and report.batching else [NONE_KEPT]
    yield "## What grows with what"
    if report is None:
        yield NONE_KEPT
        return
    yield head(report)
    yield from series_parts(report, _plots(results))


def _plots(results: Path) -> dict[str, str]:
    files = {axis: results / f"{GROWTH}-{axis}.png" for axis in AXES}
    return {axis: f"../benchmarks/results/{file.name}" for axis, file in files.items() if file.exists()}
