"""How many cameras this machine holds, by engine: the table of docs/cameras.md.

    python -m benchmarks.capacity                      # on this machine's processor; 15 minutes on 2 cores
    python -m benchmarks.capacity --engines legacy torch --most 1024          # on a machine with a GPU
    python -m benchmarks.capacity --quick              # shows that it works, measures nothing worth keeping

Cameras of `--fps` frames a second through the backend to one side alone, all on the same machine, the generator too.
Held are as many as lose no more than every hundredth frame. Each figure is the median of three windows at that number.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.backend_sides import alone_on_legacy, alone_on_triton
from benchmarks.baseline import commit
from benchmarks.capacity_report import SCHEMA, SUITE, Held, Report, Settings, as_text
from benchmarks.command import concluded
from benchmarks.holding import LOST_SHARE, Try, most_held
from benchmarks.machine import this_machine, usable_cores
from benchmarks.options import number_between, size, whole_number_to
from benchmarks.pictures import JPEG_QUALITY, Size, draw_pictures
from benchmarks.processes import ROOT, Server, legacy_service, running
from benchmarks.progress import Progress
from benchmarks.sides import triton_program
from benchmarks.steady import MAX_CAMERAS, Watched
from benchmarks.suite import LoadFailedError, told_by
from benchmarks.variants import Variant

BUILD_S = 420.0  # to export a network, and to compile it for every size of a batch
CONFIRMED = 3

_WATCHED = TypeAdapter(Watched)


@dataclass(frozen=True, slots=True)
class Engine:
    """`words` build it for Triton; None: the legacy service."""

    name: str
    words: tuple[str, ...] | None


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("legacy", None),
        Engine("openvino", ("--engine=openvino",)),
        Engine("openvino-bf16", ("--engine=openvino", "--precision=bf16")),
        Engine("onnxruntime", ("--engine=onnxruntime",)),
        Engine("torch", ("--engine=torch",)),
    )
}
ON_A_PROCESSOR = ("legacy", "openvino", "openvino-bf16", "onnxruntime")


def measure(settings: Settings) -> Report:
    machine = this_machine()
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        pictures = draw_pictures(Size.of(settings.size), folder)
        cells = [(detector, ENGINES[name]) for detector in settings.detectors for name in settings.engines]
        progress = Progress(len(cells))
        rows: list[Held] = []
        for detector, engine in cells:
            rows.append(_held(detector, engine, settings, pictures.paths, folder, progress))
            progress.step(rows[-1].sentence)
        progress.done()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, SUITE, date, commit(), machine, settings, tuple(rows))


def _held(
    detector: str, engine: Engine, settings: Settings, pictures: Sequence[Path], folder: Path, progress: Progress
) -> Held:  # fmt: skip
    place = folder / f"{detector}-{engine.name}"
    with ExitStack() as stack:
        progress.say(f"starting {engine.name} for {detector}")
        server = _started(detector, engine, settings, place, stack)

        def attempt(cameras: int, seconds: float = settings.seconds) -> Watched:
            watched = _watched(server, detector, cameras, settings.fps, seconds, pictures)
            progress.say(f"{detector}, {engine.name}: {cameras} cameras lose {watched.lost_share:.1%}")
            return watched

        attempt(2, settings.seconds / 2)  # warms it up
        best = most_held(attempt, settings.most)
        if best is None:
            return Held(detector, engine.name, 0, ())
        return _confirmed(detector, engine.name, best, attempt)


def _confirmed(detector: str, engine: str, best: Watched, attempt: Try) -> Held:
    """By three windows, and one step lower where their median loses too much."""
    cameras = best.cameras
    while cameras:
        windows = tuple(attempt(cameras) for _ in range(CONFIRMED))
        if statistics.median(one.lost_share for one in windows) <= LOST_SHARE:
            return Held(detector, engine, cameras, windows)
        cameras = min(cameras - 1, round(cameras * 0.95))
    return Held(detector, engine, 0, ())


def _started(detector: str, engine: Engine, settings: Settings, place: Path, stack: ExitStack) -> Server:
    if engine.words is None:
        service = stack.enter_context(running(legacy_service(detector)))
        return stack.enter_context(running(alone_on_legacy(place, detector, service.url, settings.workers)))
    served = Variant(detector)
    place.mkdir(parents=True)
    told_by(
        ["ai.triton.models", "build", f"--repository={place / 'models'}", *engine.words, detector],
        BUILD_S, f"CROSSFADE_VAR={place}",
    )  # fmt: skip
    stack.enter_context(running(triton_program(place / "models", [served], place / "triton"), BUILD_S))
    return stack.enter_context(running(alone_on_triton(place, place / "triton", detector, settings.workers)))


def _watched(
    server: Server, detector: str, cameras: int, fps: float, seconds: float, pictures: Sequence[Path]
) -> Watched:
    """By a generator in a process of its own."""
    command = ["benchmarks.steady", f"{server.url}/api/detect?detector={detector}", *map(str, pictures)]
    command += [f"--cameras={cameras}", f"--fps={fps}", f"--seconds={seconds}"]
    return _WATCHED.validate_json(told_by(command, seconds + 60))


def save(report: Report, folder: Path) -> list[Path]:
    figures, table = (
        folder / f"{SUITE}-{report.settings.name}.json",
        folder / f"{SUITE}-{report.settings.name}.txt",
    )
    report.save(figures)
    table.write_text(as_text(report) + "\n", encoding="utf-8")
    return [figures, table]


_FULL = {"detectors": ["yolo26", "rtdetr"], "engines": list(ON_A_PROCESSOR), "fps": 5.0, "seconds": 6.0, "most": 256,
         "out": ROOT / "benchmarks" / "results", "name": "cpu"}  # fmt: skip
_QUICK = {**_FULL, "detectors": ["yolo26"], "engines": ["legacy"], "seconds": 1.0, "most": 2,
          "out": ROOT / "var" / "benchmarks", "name": "quick"}  # fmt: skip


def settings_of(words: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    add = parser.add_argument
    add("--detectors", nargs="+", choices=("yolo26", "rtdetr"))
    add("--engines", nargs="+", choices=ENGINES)
    add("--fps", type=number_between(0.1, 60), help="of a camera")
    add("--seconds", type=number_between(0.2, 60), help="of one window")
    add("--most", type=whole_number_to(MAX_CAMERAS), help="cameras that are tried")
    add(
        "--workers",
        type=whole_number_to(64),
        default=max(1, len(usable_cores()) // 4),
        help="of the backend",
    )
    add("--size", type=size, default="1280x720", help="of the pictures (1280x720)")
    add("--out", type=Path, help="folder of the result")
    add("--name", help="of the result: capacity-NAME.json")
    add("--quick", action="store_true", help="one engine for seconds, into var/benchmarks")
    quick = parser.parse_known_args(words)[0].quick
    parser.set_defaults(**(_QUICK if quick else _FULL))
    asked = parser.parse_args(words)
    settings = Settings(
        asked.name, tuple(asked.detectors), tuple(asked.engines), asked.fps, asked.seconds, asked.most, asked.workers,
        asked.size, JPEG_QUALITY, CONFIRMED,
    )  # fmt: skip
    return settings, asked.out


def main(words: Sequence[str] | None = None) -> None:
    settings, out = settings_of(words)
    try:
        concluded(lambda: measure(settings), save, as_text, out)
    except LoadFailedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
