"""A run of the client's benchmark as data, and as a table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.report import Spread

STUB, CLIENT, OFFICIAL = "bare stub", "TritonClient", "tritonclient.grpc.aio"
ALLOWED = 0.90  # of the bare stub's calls/s, at the most callers, with a real picture, on the instant server


@dataclass(frozen=True, slots=True)
class Settings:
    callers: tuple[int, ...]
    seconds: float  # of one window
    rounds: int


@dataclass(frozen=True, slots=True)
class Window:
    calls_per_s: float
    cpu_us: float  # of this process, for one call


@dataclass(frozen=True, slots=True)
class Cell:
    server: str
    picture_bytes: int
    callers: int
    side: str
    calls_per_s: Spread
    cpu_us: Spread
    ratio: Spread | None  # to the bare stub's calls/s in the same round
    cpu_ratio: Spread | None


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    allowed: float  # the least that `judged` may be
    cells: tuple[Cell, ...]

    @property
    def judged(self) -> float:
        """The client's share of the stub's calls/s where it is promised."""
        most, picture = max(self.settings.callers), max(cell.picture_bytes for cell in self.cells)
        (cell,) = [
            cell for cell in self.cells
            if (cell.server, cell.picture_bytes, cell.callers, cell.side) == ("instant", picture, most, CLIENT)
        ]  # fmt: skip
        assert cell.ratio is not None
        return cell.ratio.median


def as_text(report: Report) -> str:
    machine, settings = report.machine, report.settings
    lines = [
        f"Machine: {machine.title}; {machine.os}, Python {machine.python}",
        f"Load average before the start {machine.load_average_1m}; commit {report.commit}",
        f"Closed loop in one process; medians of {settings.rounds} windows of {settings.seconds:g} s, in turns;"
        " CPU is the asking process's, for one call; ratios are to the bare stub in the same round",
        "",
        f"{'server':>12} {'bytes':>7} {'callers':>7} {'side':>21} {'calls/s':>8} {'min..max':>12}"
        f" {'CPU us':>7} {'ratio':>6} {'CPU ratio':>9}",
        *map(_line, report.cells),
        "",
        f"TritonClient reaches {report.judged:.1%} of the bare stub's calls/s at {max(settings.callers)} callers"
        f" with a real picture; at least {report.allowed:.0%} is promised.",
    ]  # fmt: skip
    return "\n".join(lines)


def _line(cell: Cell) -> str:
    span = f"{cell.calls_per_s.min:.0f}..{cell.calls_per_s.max:.0f}"
    ratio = f"{cell.ratio.median:6.2f}" if cell.ratio else " " * 6
    cpu_ratio = f"{cell.cpu_ratio.median:9.2f}" if cell.cpu_ratio else ""
    return (
        f"{cell.server:>12} {cell.picture_bytes:>7} {cell.callers:>7} {cell.side:>21}"
        f" {cell.calls_per_s.median:>8.0f} {span:>12} {cell.cpu_us.median:>7.0f} {ratio} {cpu_ratio}".rstrip()
    )


def save(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    figures, table = folder / f"{report.suite}.json", folder / f"{report.suite}.txt"
    figures.write_text(json.dumps(asdict(report), indent=1) + "\n")
    table.write_text(as_text(report) + "\n")
    return [figures, table]
