"""How many of Frigate's questions are answered before it gives up: the figure of docs/frigate.md.

    python -m benchmarks.frigate                       # both sides, YOLO26; 4 minutes on 2 cores
    python -m benchmarks.frigate --models var/models   # … with a repository that is built already
    python -m benchmarks.frigate --quick               # shows that it works, measures nothing worth keeping

One question after the other, each on a connection of its own, as Frigate's detector process asks. The window of a side
is visited in every round, the sides in turn; a side is started afresh, alone, and warmed up. Rounds in which other
processes kept more than a fifth of a core busy are marked, and counted only where there is no other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.backend_sides import alone_on_legacy, alone_on_triton
from benchmarks.baseline import commit
from benchmarks.command import concluded
from benchmarks.frigate_plugin import Crop, Plugin, crops
from benchmarks.machine import Machine, this_machine
from benchmarks.meter import Reading
from benchmarks.options import whole_number_to, with_output
from benchmarks.processes import ROOT, Server, legacy_service, running
from benchmarks.sides import triton_program
from benchmarks.suite import told_by
from benchmarks.variants import Variant

DETECTOR = "yolo26"
LEGACY, TRITON = "legacy", "triton-openvino"
PATIENCE_S = 0.09  # what is left of Frigate's 0.1 s for its own side of the wire
BUILD_S = 420.0
WARM_UP = 20
DISTURBED_CORES = 0.2  # of other processes, on average: such a window is shown, and marked
_LONG_S = 30.0
_FULL = {"rounds": 5, "asks": 200, "out": ROOT / "benchmarks" / "results"}
_QUICK = {"rounds": 1, "asks": 20, "out": ROOT / "var" / "benchmarks"}


@dataclass(frozen=True, slots=True)
class Window:
    side: str
    latencies_ms: tuple[float, ...]
    others: float | None  # cores that other processes kept busy

    @property
    def is_disturbed(self) -> bool:
        return (self.others or 0.0) > DISTURBED_CORES

    @property
    def in_time(self) -> float:
        return sum(one <= 1000 * PATIENCE_S for one in self.latencies_ms) / len(self.latencies_ms)

    def percentile_ms(self, share: float) -> float:
        return float(np.percentile(self.latencies_ms, 100 * share, method="nearest"))


@dataclass(frozen=True, slots=True)
class Report:
    date: str
    commit: str | None
    machine: Machine
    windows: tuple[Window, ...]


def measure(rounds: int, asks: int, models: Path | None) -> Report:
    machine, pictures = this_machine(), list(crops(8))
    windows = []
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        repository = models or _built(folder / "models")
        for number in range(rounds):
            for side in (LEGACY, TRITON):
                with _served(side, repository, folder / f"{side}-{number}") as (backend, behind):
                    windows.append(_window(side, backend, behind, pictures, asks))
    return Report(datetime.now(UTC).isoformat(timespec="seconds"), commit(), machine, tuple(windows))


@contextmanager
def _served(side: str, models: Path, place: Path) -> Iterator[tuple[Server, Server]]:
    """The backend, and the only side that it knows."""
    place.mkdir()
    with ExitStack() as stack:
        if side == LEGACY:
            behind = stack.enter_context(running(legacy_service(DETECTOR)))
            program = alone_on_legacy(place, DETECTOR, behind.url, 1)
        else:
            triton = triton_program(models, [Variant(DETECTOR)], place / "triton")
            behind = stack.enter_context(running(triton, BUILD_S))
            program = alone_on_triton(place, place / "triton", DETECTOR, 1)
        yield stack.enter_context(running(program)), behind


def _window(side: str, backend: Server, behind: Server, pictures: Sequence[Crop], asks: int) -> Window:
    plugin = Plugin(f"{backend.url}/v1/vision/detection?detector={DETECTOR}", _LONG_S)
    for number in range(WARM_UP):
        plugin.detect_raw(pictures[number % len(pictures)].pixels)
    before, latencies = Reading.take(backend.pid, behind.pid), []
    for number in range(asks):
        began_at = time.perf_counter()
        plugin.detect_raw(pictures[number % len(pictures)].pixels)
        latencies.append(1000 * (time.perf_counter() - began_at))
    cores = before.cores_until(Reading.take(backend.pid, behind.pid))
    return Window(side, tuple(latencies), cores.others)


def _built(models: Path) -> Path:
    words = ["ai.triton.models", "build", f"--repository={models}", "--engine=openvino", DETECTOR]
    told_by(words, BUILD_S, f"CROSSFADE_VAR={models.parent}")
    return models


def as_text(report: Report) -> str:
    lines = [
        f"Frigate's deepstack plugin, 320 x 320 crops, YOLO26, one question at a time ({report.machine.title})",
        f"{'side':16} {'asked':>6} {'in 90 ms':>9} {'p50':>7} {'p95':>7} {'p99':>7}   rounds: in 90 ms, others' cores",
    ]
    return "\n".join([*lines, *(_row(side, report.windows) for side in (LEGACY, TRITON))])


def _row(side: str, windows: Sequence[Window]) -> str:
    """Of the rounds that nothing else disturbed, where there are any."""
    every = [window for window in windows if window.side == side]
    mine = [window for window in every if not window.is_disturbed] or every
    in_time = statistics.median(window.in_time for window in mine)
    p50, p95, p99 = (
        statistics.median(window.percentile_ms(share) for window in mine) for share in (0.5, 0.95, 0.99)
    )
    asked = sum(len(window.latencies_ms) for window in mine)
    rounds = ", ".join(_of_round(window) for window in every)
    return f"{side:16} {asked:6} {in_time:9.1%} {p50:4.0f} ms {p95:4.0f} ms {p99:4.0f} ms   {rounds}"


def _of_round(window: Window) -> str:
    mark = " DISTURBED" if window.is_disturbed else ""
    return f"{window.in_time:.1%} ({window.others or 0.0:.1f}{mark})"


def save(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    figures, table = folder / "frigate-cpu.json", folder / "frigate-cpu.txt"
    figures.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    table.write_text(as_text(report) + "\n", encoding="utf-8")
    return [figures, table]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.frigate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=whole_number_to(50))
    parser.add_argument("--asks", type=whole_number_to(100_000), help="in each window")
    parser.add_argument("--models", type=Path, help="Triton's repository; one is built where none is named")
    options = with_output(parser, words, quick=_QUICK, full=_FULL)
    concluded(lambda: measure(options.rounds, options.asks, options.models), save, as_text, options.out)


if __name__ == "__main__":
    main()
