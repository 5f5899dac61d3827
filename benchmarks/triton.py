"""Triton against the legacy service: one machine, one run, one generator, both sides in turns.

python -m benchmarks.triton            # YOLO26 on this machine's processor; 7 minutes on 2 cores
python -m benchmarks.triton --quick    # one round of a second each; shows that it works, measures nothing worth keeping
python -m benchmarks.triton --page     # measures nothing: writes the kept result into docs/performance.md again
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.baseline import CEILING_S, commit
from benchmarks.command import concluded, require_answered
from benchmarks.comparison import BASE, SCHEMA, Comparison, Pace, Settings, loops_of, ratios_of, rows_of
from benchmarks.comparison_plot import draw
from benchmarks.comparison_text import PAGE, RESULT, as_text, write_page
from benchmarks.loadgen import TIMEOUT_S
from benchmarks.machine import Machine, this_machine
from benchmarks.options import number_between, size, whole_number_to
from benchmarks.pictures import JPEG_QUALITY, PICTURES, Size, draw_pictures
from benchmarks.processes import ROOT, Program, legacy_service
from benchmarks.rounds import Rounds
from benchmarks.sides import Side, ceiling_side, legacy_side, triton_program, triton_sides
from benchmarks.suite import told_by
from benchmarks.variants import VARIANTS, Variant

DETECTOR = "yolo26"
NO_GPU = "CUDA_VISIBLE_DEVICES="  # both sides on the processor, wherever this runs
START_S = 300.0  # to import torch, or to export a network, on a slow machine

_PACES = TypeAdapter(list[Pace])

_FULL = {
    "callers": [1, 8],
    "size": "640x360",
    "variants": ["unbatched", "f32", "bf16"],
    "seconds": 4.0,
    "rounds": 5,
    "out": RESULT.parent,
    "name": "cpu",
}
_QUICK = {**_FULL, "seconds": 1.0, "rounds": 1, "out": ROOT / "var" / "benchmarks", "name": "quick"}


@dataclass(frozen=True, slots=True)
class Bench:
    """What is compared; a test puts a tiny detector here."""

    legacy: Program
    variants: Sequence[Variant]
    build: Callable[[Sequence[Variant], Path], None]
    run_loops: Callable[[Sequence[Path], Sequence[Path], float], Sequence[Pace]]


def measure(settings: Settings, bench: Bench, name: str, machine: Machine) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        models = folder / "models"
        bench.build(bench.variants, models)
        about = {variant.name: variant.about(models) for variant in bench.variants}
        pictures = draw_pictures(Size.of(settings.size), folder)
        jpeg_bytes = pictures.jpeg_bytes
        batched = [variant.version_in(models) for variant in bench.variants if variant.batched]
        rounds = Rounds(
            _sides(settings, bench, triton_program(models, bench.variants, folder / "var"), pictures.paths),
            settings.callers, settings.rounds, settings.timeout_s,
            run_loops=lambda: bench.run_loops(batched, pictures.paths, settings.loop_seconds),
        )  # fmt: skip
        rounds.run()
    return Comparison(
        schema_version=SCHEMA,
        suite="triton",
        name=name,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        machine=machine,
        settings=settings,
        server=rounds.health["triton"],
        sides={BASE: rounds.health[bench.legacy.name], **about},
        objects=rounds.objects,
        rows=rows_of(rounds.windows, settings.size, jpeg_bytes),
        ratios=ratios_of(rounds.windows),
        loops=loops_of(rounds.loops),
    )


def _sides(settings: Settings, bench: Bench, triton: Program, pictures: Sequence[Path]) -> list[Side]:
    return [
        legacy_side(bench.legacy, pictures, settings.seconds),
        *triton_sides(triton, bench.variants, pictures, settings.seconds),
        ceiling_side(pictures, settings.ceiling_seconds),
    ]


def build(variants: Sequence[Variant], models: Path) -> None:
    """In a process of its own, see `benchmarks.variants`."""
    print("Building what Triton is to serve", file=sys.stderr)
    told_by(["benchmarks.build_variants", str(models), *(variant.name for variant in variants)], START_S)


def run_loops(versions: Sequence[Path], pictures: Sequence[Path], seconds: float) -> list[Pace]:
    """In a process of its own, started afresh in each round as the servers are."""
    command = ["benchmarks.loops", *map(str, versions), "--pictures", *map(str, pictures)]
    command += [f"--detector={DETECTOR}", f"--seconds={seconds}"]
    return _PACES.validate_json(told_by(command, START_S, NO_GPU))


def save(report: Comparison, folder: Path) -> list[Path]:
    path = folder / f"{report.suite}-{report.name}.json"
    report.save(path)
    return [path, *draw(report, path)]


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.triton",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--variants", nargs="+", choices=VARIANTS, help="how Triton serves: default unbatched f32 bf16")
    add("--callers", nargs="+", type=whole_number_to(256))
    add("--size", type=size, help="of the pictures, such as 1280x720")
    add("--seconds", type=number_between(0.2, 60), help="one side's window in one round")
    add("--rounds", type=whole_number_to(50))
    add("--out", type=Path, help="folder of the results")
    add("--name", help="of the result: triton-NAME.json; `cpu` if not said")
    add("--quick", action="store_true", help="one round of a second, into var/benchmarks")
    add("--page", action="store_true", help=f"measure nothing, write the kept result into {PAGE.name} again")
    quick = parser.parse_known_args(words)[0].quick
    parser.set_defaults(**(_QUICK if quick else _FULL))
    return parser.parse_args(words)


def _settings_of(options: argparse.Namespace) -> Settings:
    return Settings(
        callers=tuple(sorted(set(options.callers))),
        size=options.size,
        seconds=options.seconds,
        loop_seconds=options.seconds / 2,
        ceiling_seconds=min(CEILING_S, options.seconds),
        rounds=options.rounds,
        timeout_s=TIMEOUT_S,
        pictures=PICTURES,
        jpeg_quality=JPEG_QUALITY,
    )


def _variants_of(names: Sequence[str]) -> list[Variant]:
    """Those that this processor can run; the others are named."""
    wanted = [VARIANTS[name] for name in VARIANTS if name in names]
    for variant in wanted:
        if not variant.possible:
            print(f"Left out: this processor has no {variant.precision}", file=sys.stderr)
    return [variant for variant in wanted if variant.possible]


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)
    if options.page:
        write_page(RESULT, PAGE)
        return

    def measured() -> Comparison:
        legacy = legacy_service(DETECTOR, NO_GPU)
        bench = Bench(legacy, _variants_of(options.variants), build, run_loops)
        return measure(_settings_of(options), bench, options.name, this_machine())

    require_answered(concluded(measured, save, as_text, options.out).errors)


if __name__ == "__main__":
    main()
