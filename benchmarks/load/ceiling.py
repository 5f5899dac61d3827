"""What the generator itself reaches, against an endpoint that does nothing: the ceiling of every figure beside it."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.baseline import commit
from benchmarks.load.measurement import Measurement
from benchmarks.load.open_loop import MAX_RATE_RPS
from benchmarks.load.search import HeldRate, highest_rate
from benchmarks.load.several import closed_loop, open_loop
from benchmarks.machine import Machine, this_machine
from benchmarks.pictures import Size, draw_pictures
from benchmarks.processes import Server, do_nothing, running
from benchmarks.progress import Progress
from benchmarks.report import Spread

SCHEMA = 1
TIMEOUT_S = 5.0
FIRST_SHARE = 0.4  # of the closed loop's rate: where the search for the open one's begins


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    processes: tuple[int, ...]
    callers: tuple[int, ...]
    seconds: float  # of one window
    rounds: int
    limit_ms: float  # an open loop's p95 under it counts as in time
    size: str


@dataclass(frozen=True, slots=True)
class Cell:
    """`loop` closed: requests/s of that many callers; open: the highest rate that was in time."""

    loop: str
    processes: int
    callers: int | None
    rps: Spread
    p95_ms: float | None
    late_p99_ms: float | None  # how late an open loop sends at that rate
    loadgen_cpu_us: float | None  # processor time of the generator for one request
    other_cpu_cores: float | None


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    jpeg_bytes: int
    cells: tuple[Cell, ...]
    errors: int


@dataclass(slots=True)
class _Ceiling:
    settings: Settings
    server: Server
    bodies: Sequence[Path]
    progress: Progress
    errors: int = 0

    def cells(self) -> list[Cell]:
        self._closed(1, min(self.settings.callers))  # warms both ends up
        closed: dict[tuple[int, int], list[Measurement]] = {}
        opened: dict[int, list[HeldRate]] = {}
        for _ in range(self.settings.rounds):
            for processes in self.settings.processes:
                for callers in self.settings.callers:
                    run = self._closed(processes, callers)
                    closed.setdefault((processes, callers), []).append(run)
                    self.progress.step(f"closed, {processes} processes x {callers}: {run.rps:.0f}/s")
                held = self._held(processes, run.rps)
                opened.setdefault(processes, []).append(held)
                self.progress.step(f"open, {processes} processes: {held.rate_rps:.0f}/s")
        cells = [_closed_cell(processes, callers, runs) for (processes, callers), runs in closed.items()]
        return cells + [_open_cell(processes, held) for processes, held in opened.items()]

    def _closed(self, processes: int, callers: int) -> Measurement:
        run = closed_loop(
            self.server, self.bodies, callers, self.settings.seconds, TIMEOUT_S, processes=processes
        )
        self.errors += run.failures
        return run

    def _held(self, processes: int, closed_rps: float) -> HeldRate:
        def attempt(rate_rps: float) -> Measurement:
            return open_loop(
                self.server, self.bodies, rate_rps, self.settings.seconds, TIMEOUT_S, processes=processes, lead_s=0.5
            )  # fmt: skip

        return highest_rate(
            attempt, self.settings.limit_ms, FIRST_SHARE * closed_rps, MAX_RATE_RPS, grain=0.1
        )


def measure(settings: Settings) -> Report:
    machine = this_machine()
    steps = settings.rounds * len(settings.processes) * (len(settings.callers) + 1)
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as folder:
        pictures = draw_pictures(Size.of(settings.size), Path(folder))
        jpeg_bytes = pictures.jpeg_bytes
        with running(do_nothing()) as server:
            ceiling = _Ceiling(settings, server, pictures.paths, Progress(steps))
            cells = tuple(ceiling.cells())
    ceiling.progress.done()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, "load", date, commit(), machine, settings, jpeg_bytes, cells, ceiling.errors)


def _closed_cell(processes: int, callers: int, runs: Sequence[Measurement]) -> Cell:
    return Cell(
        "closed", processes, callers, Spread.of([run.rps for run in runs]), _median([run.p95_ms for run in runs]), None,
        _median([_cpu_us(run) for run in runs]), _median([run.cores.others for run in runs]),
    )  # fmt: skip


def _open_cell(processes: int, found: Sequence[HeldRate]) -> Cell:
    windows = [one.windows[-1] for held in found for one in held.tried if one.rate_rps == held.rate_rps]
    late = [run.offered.late_p99_ms for run in windows if run.offered]
    return Cell(
        "open", processes, None, Spread.of([held.rate_rps for held in found]), _median([held.p95_ms for held in found]),
        _median(late), _median([_cpu_us(run) for run in windows]), _median([run.cores.others for run in windows]),
    )  # fmt: skip


def _cpu_us(run: Measurement) -> float | None:
    return run.cores.loadgen / run.rps * 1e6 if run.rps else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
