"""What a run of `benchmarks.capacity` found, as JSON and as the table for the pages."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.steady import Watched

SCHEMA, SUITE = 1, "capacity"


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    detectors: tuple[str, ...]
    engines: tuple[str, ...]
    fps: float
    seconds: float
    most: int
    workers: int
    size: str
    jpeg_quality: int
    windows: int


@dataclass(frozen=True, slots=True)
class Held:
    detector: str
    engine: str
    cameras: int  # 0: not even one
    windows: tuple[Watched, ...]  # at that number

    @property
    def p95_ms(self) -> float | None:
        known = [one.p95_ms for one in self.windows if one.p95_ms is not None]
        return statistics.median(known) if known else None

    @property
    def lost_share(self) -> float:
        return statistics.median(one.lost_share for one in self.windows) if self.windows else 1.0

    @property
    def sentence(self) -> str:
        p95 = "-" if self.p95_ms is None else f"{self.p95_ms:.0f} ms"
        return f"{self.detector}, {self.engine}: {self.cameras} cameras, p95 {p95}"


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    rows: tuple[Held, ...]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def over_legacy(self, row: Held) -> float | None:
        """How many times as many cameras as legacy holds, of the same detector in the same run."""
        base = [one.cameras for one in self.rows if (one.detector, one.engine) == (row.detector, "legacy")]
        return row.cameras / base[0] if base and base[0] and row.engine != "legacy" else None


def as_text(report: Report) -> str:
    """In Markdown, so that a page can take it as it is."""
    told = report.settings
    lines = [
        f"{report.machine.title}; cameras of {told.fps:g} frames/s, {told.size}, backend with {told.workers} worker(s)",
        "",
        "| detector | engine | cameras | frames/s | against legacy | p95 | lost |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in report.rows:
        times = report.over_legacy(row)
        cells = (
            row.detector, row.engine, f"{row.cameras}", f"{row.cameras * told.fps:g}",
            "-" if times is None else f"{times:.1f} ×",
            "-" if row.p95_ms is None else f"{row.p95_ms:.0f} ms", f"{row.lost_share:.1%}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
