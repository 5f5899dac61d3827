"""A folder of pictures by `crossfade batch`, by `crossfade detect` one after the other, and by Triton itself kept full.

    python -m benchmarks.batch            # some 10 minutes on 2 cores
    python -m benchmarks.batch --quick    # a minute or two; shows that it works, measures nothing worth keeping

One real Triton (YOLO26's demo weights, OpenVINO) and one backend before it serve all of them in turns, in every round
in another order. The two commands are timed as whole processes, less what the same command takes for one picture: of a
hundred thousand pictures the start is nothing. Then a live caller asks ten times a second, alone and beside a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ai.triton.embedded import record
from benchmarks.backend import BUILD_S, build
from benchmarks.backend_sides import DETECTOR, SERVED, real_backend
from benchmarks.baseline import commit
from benchmarks.batch_report import SCHEMA, Live, Report, Round, Settings, as_text
from benchmarks.command import concluded
from benchmarks.live_caller import LiveCaller
from benchmarks.machine import Machine, this_machine
from benchmarks.options import size, whole_number_to, with_output
from benchmarks.pictures import Size, draw_pictures
from benchmarks.processes import ROOT, running
from benchmarks.progress import Progress
from benchmarks.sides import triton_program
from benchmarks.suite import LoadFailedError, told_by

SUITE = "batch-cpu"
CALLERS = (8, 32)  # of Triton itself: one full batch, and four
FIXED = 32  # at once, of the batch that is not polite
ALONE_S = 8.0
_STEPS = 5 + len(CALLERS)  # of a round
LONGEST_S = 600.0

_FULL = {"pictures": 600, "rounds": 5, "size": "640x360", "out": ROOT / "benchmarks" / "results"}
_QUICK = {**_FULL, "pictures": 100, "rounds": 1, "out": ROOT / "var" / "benchmarks"}


class Bench:
    """Everything runs; `folder` holds the pictures, `one` a single one."""

    def __init__(self, url: str, triton: str, work: Path, pictures: int) -> None:
        self._url, self._triton, self._work, self._pictures = url, triton, work, pictures
        self._count = 0

    @property
    def folder(self) -> Path:
        return self._work / "all"

    def detect(self) -> float:
        """Pictures per second, one after the other."""

        def words(folder: Path) -> list[str]:
            return ["detect", *(path.name for path in sorted(folder.iterdir())), "--json"]

        return self._rate(words, in_folder=True)

    def batch(self, *more: str) -> float:
        return self._rate(lambda folder: ["batch", str(folder), *self._out(), "--json", *more])

    def ceiling(self, callers: int) -> float:
        command = ["benchmarks.batch_ceiling", self._triton, SERVED.model, str(callers), str(self.folder)]
        return self._pictures / float(json.loads(told_by(command, LONGEST_S))["seconds"])

    def live(self, *more: str | None) -> Live:
        """Of a caller who asks now and then: alone with nothing said, else beside such a batch."""
        with LiveCaller(self._url, next(self.folder.iterdir()).read_bytes()) as caller:
            if more == (None,):
                time.sleep(ALONE_S)
            else:
                self._seconds(
                    ["batch", str(self.folder), *self._out(), "--json", *filter(None, more)], self._work
                )
        return caller.seen

    def _out(self) -> list[str]:
        self._count += 1
        return ["--out", str(self._work / f"{self._count}.jsonl")]

    def _rate(self, words: Callable[[Path], list[str]], *, in_folder: bool = False) -> float:
        one, all_of_them = (
            self._seconds(words(folder), folder if in_folder else self._work)
            for folder in (self._work / "one", self.folder)
        )
        return (self._pictures - 1) / (all_of_them - one)

    def _seconds(self, words: Sequence[str], folder: Path) -> float:
        command = [sys.executable, "-m", "backend.cli", *words, f"--url={self._url}"]
        began_s = time.perf_counter()
        ended = subprocess.run(
            ["env", f"PYTHONPATH={ROOT}", *command], cwd=folder, capture_output=True, text=True,
            timeout=LONGEST_S, check=False,
        )  # fmt: skip
        if ended.returncode:
            raise LoadFailedError(f"{words[0]} ended with {ended.returncode}: {ended.stderr[-1000:]}")
        return time.perf_counter() - began_s


def measure(settings: Settings, machine: Machine) -> Report:
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        jpeg_bytes = write_pictures(settings, folder)
        build(folder / "models")
        progress = Progress(_STEPS * settings.rounds)
        rounds = []
        for number in range(settings.rounds):
            with started(folder, settings.pictures) as bench:
                rounds.append(visited(bench, number, progress))
        progress.done()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, SUITE, date, commit(), machine, settings, jpeg_bytes, tuple(rounds))


def write_pictures(settings: Settings, folder: Path) -> int:
    """So many names for the few that are drawn: a disk's cache is no part of what is compared."""
    drawn = draw_pictures(Size.of(settings.size), folder)
    for name, count in (("all", settings.pictures), ("one", 1)):
        (folder / name).mkdir()
        for number in range(count):
            os.link(drawn.paths[number % len(drawn.paths)], folder / name / f"{number:06}.jpg")
    return drawn.jpeg_bytes


@contextmanager
def started(folder: Path, pictures: int) -> Iterator[Bench]:
    var = folder / "var"
    with (
        running(triton_program(folder / "models", [SERVED], var), BUILD_S),
        running(real_backend(var, triton_var=var)) as backend,
    ):
        found = record.running(var)
        if found is None:
            raise LoadFailedError("Triton is gone")
        with tempfile.TemporaryDirectory(dir=folder) as results:
            work = Path(results)
            for name in ("all", "one"):
                (work / name).symlink_to(folder / name)
            yield Bench(backend.url, found.grpc_url, work, pictures)


def visited(bench: Bench, number: int, progress: Progress) -> Round:
    """Every other round goes backwards: nobody is always first."""
    found: dict[str, float] = {}
    rates: dict[str, Callable[[], float]] = {"detect": bench.detect, "batch": bench.batch}
    for callers in CALLERS:
        rates[f"triton x {callers}"] = lambda callers=callers: bench.ceiling(callers)  # type: ignore[misc]
    bench.ceiling(CALLERS[0])  # warm
    for name in list(rates)[:: -1 if number % 2 else 1]:
        found[name] = rates[name]()
        progress.step(f"{name}: {found[name]:.1f}/s")
    live: dict[str, Live] = {}
    lives: dict[str, tuple[str | None, ...]] = {
        "alone": (None,),
        "batch": (),
        "fixed": (f"--concurrency={FIXED}",),
    }
    for name in list(lives)[:: -1 if number % 2 else 1]:
        live[name] = bench.live(*lives[name])
        progress.step(f"a live caller, {name}: p95 {live[name].p95_ms:.0f} ms")
    return Round(found, live)


def save(report: Report, folder: Path) -> list[Path]:
    path = folder / f"{report.suite}.json"
    report.save(path)
    return [path]


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pictures", type=whole_number_to(100_000))
    parser.add_argument("--rounds", type=whole_number_to(50))
    parser.add_argument("--size", type=size, help="of the pictures, such as 1280x720")
    return with_output(parser, words, quick=_QUICK, full=_FULL)


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)
    settings = Settings(DETECTOR, options.size, options.pictures, options.rounds, CALLERS, FIXED)
    concluded(lambda: measure(settings, this_machine()), save, as_text, options.out)


if __name__ == "__main__":
    main()
