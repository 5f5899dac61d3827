"""How costs grow: every series with its slope, its plot and a verdict, and cameras before a real Triton.

    python -m benchmarks.growth                          # 15 minutes on 2 cores
    python -m benchmarks.growth --quick                  # two minutes; shows that it works, no more
    python -m benchmarks.growth --parts requests rows    # some of it

What is measured in this process is its CPU time for one call; before servers it is the CPU time of their processes
for one request. Each size is visited once a round, every other round from the largest to the smallest.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.baseline import commit
from benchmarks.command import concluded, require_answered
from benchmarks.growth import batching, pictures, redis_rows, requests, servers, stores
from benchmarks.growth.batching import Batching
from benchmarks.growth.page import as_text
from benchmarks.growth.plots import draw
from benchmarks.growth.report import SCHEMA, SUITE, Report, Settings
from benchmarks.growth.series import Series
from benchmarks.growth.servers import Ceiling, LoadPlan
from benchmarks.growth.timing import Plan
from benchmarks.machine import this_machine
from benchmarks.options import with_output
from benchmarks.processes import ROOT
from benchmarks.progress import Progress

SIZE = "640x360"  # of the frames before Triton
FRAMES_WINDOW = 1.5  # times the other windows: a batch more or less is to be little


@dataclass(slots=True)
class Run:
    settings: Settings
    folder: Path
    progress: Progress
    series: list[Series] = field(default_factory=list)
    ceiling: Ceiling | None = None
    batching: Batching | None = None
    errors: int = 0

    @property
    def plan(self) -> Plan:
        return Plan(self.settings.rounds, self.settings.window_s)

    @property
    def load_plan(self) -> LoadPlan:
        return LoadPlan(self.settings.load_rounds, self.settings.load_s)

    def keep(self, one: Series, errors: int = 0) -> None:
        self.series.append(one)
        self.errors += errors
        self.progress.say(f"{one.question.name}: {one.verdict}")

    def part(self, name: str) -> None:
        place = self.folder / name
        place.mkdir()
        _PARTS[name](self, place)
        self.progress.step(f"{name} measured")


def _requests(run: Run, _folder: Path) -> None:
    told = run.settings
    for one in pictures.series(run.plan, told.megapixels):
        run.keep(one)
    for one in requests.series(run.plan, told.megapixels, told.objects, told.cameras):
        run.keep(one)


def _rows(run: Run, folder: Path) -> None:
    for one in stores.turns(run.plan, run.settings.cameras, folder):
        run.keep(one)
    for one in stores.series(run.plan, run.settings.rows, folder):
        run.keep(one)


def _redis(run: Run, folder: Path) -> None:
    for one in redis_rows.series(run.plan, run.settings.redis_rows, folder):
        run.keep(one)


def _servers(run: Run, folder: Path) -> None:
    told = run.settings
    served = servers.by_callers(run.load_plan, told.callers, folder)
    run.ceiling, run.errors = served.ceiling, run.errors + served.errors
    for one in served.series:
        run.keep(one)
    run.keep(*servers.by_picture(run.load_plan, told.megapixels, folder))
    for one, errors in servers.by_workers(run.load_plan, run.plan, told.workers, folder):
        run.keep(one, errors)


def _batching(run: Run, folder: Path) -> None:
    told = run.settings
    sweep = tuple(count for count in told.callers if count <= 64)
    window_s = FRAMES_WINDOW * told.load_s
    plan = batching.Plan(sweep, told.crowd, SIZE, window_s, told.crowd_s, told.load_rounds)
    run.batching = batching.measured(plan, folder)
    run.errors += run.batching.errors


_PARTS: Mapping[str, Callable[[Run, Path], None]] = {
    "requests": _requests, "rows": _rows, "redis": _redis, "servers": _servers, "batching": _batching,
}  # fmt: skip


def measure(settings: Settings) -> Report:
    machine, started = this_machine(), time.monotonic()
    progress = Progress(len(settings.parts))
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        run = Run(settings, Path(created), progress)
        for name in settings.parts:
            progress.say(name)
            run.part(name)
    progress.done()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(
        SCHEMA, SUITE, date, commit(), round(time.monotonic() - started, 1), machine, settings, tuple(run.series),
        run.ceiling, run.batching, run.errors,
    )  # fmt: skip


def save(report: Report, folder: Path) -> list[Path]:
    path = folder / f"{SUITE}-{report.settings.name}.json"
    report.save(path)
    return [path, *draw(report, path)]


_FULL = {
    "rounds": 5, "window_s": 0.1, "load_rounds": 3, "load_s": 2.0,
    "megapixels": (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0), "objects": (0, 1, 3, 10, 20, 40, 80, 150, 300),
    "callers": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    "crowd": (8, 32, 128, 512), "crowd_s": 10.0,
    "cameras": (1, 10, 100, 300, 1_000, 2_000, 5_000, 20_000, 100_000), "workers": (1, 2, 4, 8),
    "rows": (1_000, 10_000, 31_623, 100_000, 316_228, 1_000_000), "redis_rows": (1_000, 10_000, 31_623, 100_000),
    "out": ROOT / "benchmarks" / "results", "name": "cpu",
}  # fmt: skip
_QUICK = {
    **_FULL, "rounds": 2, "window_s": 0.01, "load_rounds": 1, "load_s": 0.4, "megapixels": (0.1, 0.5, 2.0, 5.0),
    "objects": (0, 3, 20, 80), "callers": (1, 4, 8, 16, 128), "crowd": (8, 128), "crowd_s": 1.0,
    "cameras": (1, 10, 100, 1_000), "workers": (1, 2, 3), "rows": (300, 1_000, 3_000, 10_000),
    "redis_rows": (100, 300, 1_000), "out": ROOT / "var" / "benchmarks", "name": "quick",
}  # fmt: skip


def settings_of(words: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    parser.add_argument("--name", help="of the result: growth-NAME.json; `cpu` if not said")
    told = vars(with_output(parser, words, quick=_QUICK, full=_FULL))
    out, asked = told.pop("out"), told.pop("parts")
    told.pop("quick")
    return Settings(**told, parts=tuple(name for name in _PARTS if name in asked)), out


def main(words: Sequence[str] | None = None) -> None:
    settings, out = settings_of(words)
    require_answered(concluded(lambda: measure(settings), save, as_text, out).errors)


if __name__ == "__main__":
    main()
