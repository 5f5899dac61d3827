"""A baseline run as data: what the JSON file holds, and the table printed at its end."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.loadgen import Measurement
from benchmarks.machine import Machine

SCHEMA = 1
DISTURBED_SHARE = 1 / 32  # of a large machine
DISTURBED_CORES = 0.25  # kept busy by processes that are not ours: such a cell says little about the service
ENOUGH = 5.0  # ceiling / measured below this: the generator may have been part of what was measured
STAGES = ("decode", "preprocess", "queue", "inference", "postprocess", "rest")


@dataclass(frozen=True, slots=True)
class Settings:
    services: tuple[str, ...]
    callers: tuple[int, ...]
    sizes: tuple[str, ...]
    seconds: float
    ceiling_seconds: float
    repeats: int
    timeout_s: float
    pictures_per_size: int
    jpeg_quality: int


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Cell:
    """One service, size and number of callers: the median of each figure over the repeats."""

    service: str
    size: str
    jpeg_bytes: int
    callers: int
    repeats: int
    requests: int  # answered with 200 in the windows of all repeats together
    rps: Spread
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    split_ms: dict[str, float]
    service_cpu_cores: float | None
    loadgen_cpu_cores: float
    other_cpu_cores: float | None  # the rest of the machine: not ours, and in the way
    busy: int
    errors: dict[str, int]
    ceiling_ratio: float | None = None  # the do-nothing endpoint's requests/s over this cell's


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    name: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    services: dict[str, dict[str, Any]]  # what /health said of each: weights, device, input
    cells: tuple[Cell, ...]
    ceiling: tuple[Cell, ...]

    @property
    def errors(self) -> int:
        return sum(sum(cell.errors.values()) for cell in (*self.cells, *self.ceiling))

    @property
    def smallest_ceiling_ratio(self) -> float | None:
        return min(
            (cell.ceiling_ratio for cell in self.cells if cell.ceiling_ratio is not None), default=None
        )

    def cells_of(self, service: str, size: str) -> list[Cell]:
        """By rising number of callers."""
        found = (cell for cell in self.cells if (cell.service, cell.size) == (service, size))
        return sorted(found, key=lambda cell: cell.callers)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=2) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Report:
        return _JSON.validate_json(path.read_bytes())


_JSON = TypeAdapter(Report)


def summarise(service: str, size: str, jpeg_bytes: int, runs: Sequence[Measurement]) -> Cell:
    errors: Counter[str] = Counter()
    for run in runs:
        errors.update(run.errors)
    return Cell(
        service, size, jpeg_bytes, runs[0].callers, len(runs),
        requests=sum(run.answered for run in runs),
        rps=Spread.of([run.rps for run in runs]),
        p50_ms=_median(run.p50_ms for run in runs),
        p95_ms=_median(run.p95_ms for run in runs),
        p99_ms=_median(run.p99_ms for run in runs),
        split_ms=_split(runs),
        service_cpu_cores=_median(run.cores.server for run in runs),
        loadgen_cpu_cores=statistics.median(run.cores.loadgen for run in runs),
        other_cpu_cores=_median(run.cores.others for run in runs),
        busy=sum(run.busy for run in runs),
        errors=dict(errors),
    )  # fmt: skip


def beside_ceiling(cells: Iterable[Cell], ceiling: Iterable[Cell]) -> tuple[Cell, ...]:
    """The cells, each with the ceiling of its own size and callers over its requests/s."""
    ceilings = {(cell.size, cell.callers): cell.rps.median for cell in ceiling}
    return tuple(
        replace(cell, ceiling_ratio=ceilings[cell.size, cell.callers] / cell.rps.median)
        if cell.rps.median
        else cell
        for cell in cells
    )


def _split(runs: Sequence[Measurement]) -> dict[str, float]:
    medians = {stage: _median(run.split_ms.get(stage) for run in runs) for stage in STAGES}
    return {stage: ms for stage, ms in medians.items() if ms is not None}


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
