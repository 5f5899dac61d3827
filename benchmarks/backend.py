"""What the backend costs: before sides that answer at once, before a real Triton, and one detect by itself.

    python -m benchmarks.backend            # 10 minutes on 2 cores
    python -m benchmarks.backend --quick    # two minutes; shows that it works, measures nothing worth keeping

With fake sides it stands against a bare FastAPI route that receives the same body and says a constant of the same
size. Before Triton it stands against that Triton, asked directly by the same generator. Its own process does nothing
but detect, for what one costs and where that goes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.backend_report import SCHEMA, Measured, Report, Settings, against_bare, against_triton
from benchmarks.backend_sides import DETECTOR, fake_sides, real_sides
from benchmarks.backend_text import as_text
from benchmarks.baseline import CEILING_S, commit
from benchmarks.command import concluded, require_answered
from benchmarks.detect_cost import Part
from benchmarks.loadgen import TIMEOUT_S
from benchmarks.machine import Machine, this_machine
from benchmarks.options import number_between, size, whole_number_to
from benchmarks.pictures import Pictures, Size, draw_pictures
from benchmarks.processes import ROOT
from benchmarks.rounds import Rounds
from benchmarks.sides import Side
from benchmarks.suite import told_by

SUITE = "backend-overhead"
BUILD_S = 300.0  # to export a network, on a slow machine
TRITON_WINDOW = 3  # times the other windows
SIZE = "1728x972"  # drawn in these pixels, a scene has 137 KB as a JPEG

_PARTS = TypeAdapter(tuple[Part, ...])

_FULL = {
    "callers": [1, 32],
    "seconds": 2.0,
    "rounds": 6,
    "calls": 1000,
    "out": ROOT / "benchmarks" / "results",
}
_QUICK = {**_FULL, "seconds": 0.5, "rounds": 1, "calls": 100, "out": ROOT / "var" / "benchmarks"}


def measure(settings: Settings, machine: Machine, *, with_triton: bool) -> Report:
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        pictures = draw_pictures(Size.of(settings.size), folder)
        parts = run_parts(settings)
        bare = _visited(
            fake_sides(pictures.paths, folder / "fake", settings.seconds, settings.ceiling_seconds),
            settings, pictures, against_bare,
        )  # fmt: skip
        triton = _before_triton(settings, folder, pictures) if with_triton else None
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, SUITE, date, commit(), machine, settings, bare, triton, parts)


def _before_triton(settings: Settings, folder: Path, pictures: Pictures) -> Measured:
    build(folder / "models")
    sides = real_sides(
        folder / "models", pictures.paths, folder / "real", settings.triton_seconds, settings.ceiling_seconds
    )
    return _visited(sides, settings, pictures, against_triton)


def _visited(
    sides: Sequence[Side], settings: Settings, pictures: Pictures, measured: Callable[..., Measured]
) -> Measured:
    rounds = Rounds(sides, settings.callers, settings.rounds, settings.timeout_s)
    rounds.run()
    return measured(rounds.windows, rounds.objects, settings.size, pictures.jpeg_bytes)


def build(models: Path) -> None:
    """The model as `crossfade models build` makes it; in a process of its own, see `benchmarks.variants`."""
    print("Building what Triton is to serve", file=sys.stderr)
    told_by(["ai.triton.models", "build", f"--repository={models}", DETECTOR], BUILD_S)


def run_parts(settings: Settings) -> tuple[Part, ...]:
    print("Asking one client in a process of its own", file=sys.stderr)
    command = ["benchmarks.detect_cost", f"--repeats={settings.repeats}", f"--calls={settings.calls}"]
    return _PARTS.validate_json(told_by(command, BUILD_S))


def save(report: Report, folder: Path) -> list[Path]:
    figures, table = folder / f"{report.suite}.json", folder / f"{report.suite}.txt"
    report.save(figures)
    table.write_text(as_text(report) + "\n", encoding="utf-8")
    return [figures, table]


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backend",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--callers", nargs="+", type=whole_number_to(256))
    add("--size", type=size, default=SIZE, help=f"of the pictures; {SIZE} if not said")
    add("--seconds", type=number_between(0.2, 60), help="of one window; before Triton three times that")
    add("--rounds", type=whole_number_to(50))
    add("--calls", type=whole_number_to(100_000), help="of one client, in each of 9 repeats")
    add("--without-triton", action="store_true", help="only what needs no model")
    add("--out", type=Path, help="folder of the result")
    add("--quick", action="store_true", help="one round of half a second, into var/benchmarks")
    quick = parser.parse_known_args(words)[0].quick
    parser.set_defaults(**(_QUICK if quick else _FULL))
    return parser.parse_args(words)


def _settings_of(options: argparse.Namespace) -> Settings:
    return Settings(
        callers=tuple(sorted(set(options.callers))),
        size=options.size,
        seconds=options.seconds,
        triton_seconds=TRITON_WINDOW * options.seconds,
        ceiling_seconds=min(CEILING_S, options.seconds),
        rounds=options.rounds,
        timeout_s=TIMEOUT_S,
        repeats=9,
        calls=options.calls,
    )


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)

    def measured() -> Report:
        return measure(_settings_of(options), this_machine(), with_triton=not options.without_triton)

    require_answered(concluded(measured, save, as_text, options.out).errors)


if __name__ == "__main__":
    main()
