"""The legacy service and Triton on this machine's processor: one run, one generator, all sides in turns.

python -m benchmarks.cpu                       # both detectors
python -m benchmarks.cpu --quick               # one round of a second each; shows that it works, no more
python -m benchmarks.cpu --detectors yolo26 --callers 8 --rounds 7 --name eight
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.baseline import CEILING_S, commit
from benchmarks.command import concluded, require_answered
from benchmarks.comparison import SCHEMA, Alone, Comparison, Settings
from benchmarks.comparison_plot import draw
from benchmarks.comparison_text import as_text
from benchmarks.cpu.tracks import SCALED, Place, Track, pairs_of, sizes_of, tracks_of
from benchmarks.loadgen import TIMEOUT_S
from benchmarks.machine import Machine, this_machine
from benchmarks.medians import arranged_of, loops_of, ratios_between, rows_of, stages_of
from benchmarks.options import number_between, size, whole_number_to, with_output
from benchmarks.pictures import JPEG_QUALITY, PICTURES, Pictures, Size, draw_pictures
from benchmarks.processes import ROOT, Program, legacy_service
from benchmarks.rounds import Rounds
from benchmarks.sides import triton_program
from benchmarks.suite import told_by
from benchmarks.variants import VARIANTS, Variant

DETECTORS = ("yolo26", "rtdetr")
NO_GPU = "CUDA_VISIBLE_DEVICES="  # both sides on the processor, wherever this runs
BUILD_S = 1800.0  # to export a network, and to compare what has to be compared, on a slow machine
ALONE_S = 600.0
LOOPED = (
    "f32",
    "bf16",
    "int8",
    "ort",
)  # engines that differ; the other variants are one of these, served otherwise
NO_LARGE = "none"

_ALONE = TypeAdapter(Alone)

_FULL = {
    "detectors": list(DETECTORS),
    "callers": [1, 4, 8, 16, 32],
    "size": "640x360",
    "large": "1920x1080",
    "variants": list(VARIANTS),
    "seconds": 3.0,
    "rounds": 3,
    "out": ROOT / "benchmarks" / "results",
    "name": None,
}
_QUICK = {
    **_FULL, "detectors": ["yolo26"], "callers": [8], "variants": ["unbatched", "f32"], "seconds": 1.0, "rounds": 1,
    "out": ROOT / "var" / "benchmarks", "name": "quick",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bench:
    """What is compared; a test puts a tiny detector here."""

    detector: str
    legacy: Program
    legacy_scaled: Program | None
    variants: Sequence[Variant]
    build: Callable[
        [Sequence[Variant], Path], Mapping[str, Mapping[str, Any]]
    ]  # what parity said, by variant
    run_alone: Callable[[Sequence[Path], Sequence[Path], float], Alone]


def measure(settings: Settings, bench: Bench, name: str, machine: Machine) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        parity = bench.build(bench.variants, folder / "models")
        kept = [one for one in bench.variants if parity.get(one.name, {}).get("kept", True)]
        place = _place(settings, bench, kept, folder)
        tracks = tracks_of(place)
        versions = [one.version_in(place.models) for one in kept if one.name in LOOPED]
        rounds = Rounds(
            [track.side for track in tracks], settings.callers, settings.rounds, settings.timeout_s,
            run_alone=partial(bench.run_alone, versions, place.pictures.paths, settings.loop_seconds),
        )  # fmt: skip
        rounds.run()
        return _report(settings, bench, name, machine, place, tracks, rounds, parity)


def _place(settings: Settings, bench: Bench, kept: Sequence[Variant], folder: Path) -> Place:
    large = settings.large and draw_pictures(Size.of(settings.large), folder)
    return Place(
        legacy=bench.legacy,
        triton=triton_program(folder / "models", kept, folder / "var"),
        models=folder / "models",
        variants=kept,
        pictures=draw_pictures(Size.of(settings.size), folder),
        seconds=settings.seconds,
        ceiling_seconds=settings.ceiling_seconds,
        large=large or None,
        legacy_scaled=bench.legacy_scaled,
    )


def _report(
    settings: Settings, bench: Bench, name: str, machine: Machine, place: Place, tracks: Sequence[Track],
    rounds: Rounds, parity: Mapping[str, Mapping[str, Any]],
) -> Comparison:  # fmt: skip
    said = {
        track.side.name: rounds.health[track.side.program.name] for track in tracks if not track.side.model
    }
    pictures: Pictures = place.pictures
    return Comparison(
        schema_version=SCHEMA,
        suite="cpu",
        name=name,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        machine=machine,
        settings=settings,
        server=rounds.health["triton"],
        sides={track.side.name: {**said.get(track.side.name, {}), **track.about} for track in tracks},
        objects=rounds.objects,
        rows=rows_of(rounds.windows, settings.size, pictures.jpeg_bytes, sizes_of(place, tracks)),
        ratios=ratios_between(rounds.windows, pairs_of(tracks)),
        loops=loops_of([one.paces for one in rounds.alone]),
        detector=bench.detector,
        parity={variant: dict(judged) for variant, judged in parity.items()},
        stages=stages_of([one.costs for one in rounds.alone]),
        arranged=arranged_of([one.arrangements for one in rounds.alone]),
    )


def build(detector: str, variants: Sequence[Variant], models: Path) -> dict[str, dict[str, Any]]:
    """In a process of its own, see `benchmarks.variants`."""
    print(
        f"Building what Triton is to serve of {detector}, and comparing what is an approximation",
        file=sys.stderr,
    )
    names = [variant.name for variant in variants]
    said = told_by(["benchmarks.build_variants", str(models), *names, f"--detector={detector}"], BUILD_S)
    judged: dict[str, dict[str, Any]] = json.loads(said.splitlines()[-1])
    return judged


def run_alone(detector: str, versions: Sequence[Path], pictures: Sequence[Path], seconds: float) -> Alone:
    """In a process of its own, started afresh in each round as the servers are."""
    command = ["benchmarks.cpu.alone", *map(str, versions), "--pictures", *map(str, pictures)]
    command += [f"--detector={detector}", f"--seconds={seconds}"]
    return _ALONE.validate_json(told_by(command, ALONE_S, NO_GPU))


def save(report: Comparison, folder: Path) -> list[Path]:
    path = folder / f"{report.suite}-{report.name}.json"
    report.save(path)
    return [path, *draw(report, path)]


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--detectors", nargs="+", choices=DETECTORS)
    add("--variants", nargs="+", choices=VARIANTS, help="how Triton serves: all, if not said")
    add("--callers", nargs="+", type=whole_number_to(256))
    add("--size", type=size, help="of the pictures, such as 1280x720")
    add("--large", type=_large, help="of those that scaled decoding is shown with; `none`: not at all")
    add("--seconds", type=number_between(0.2, 60), help="one side's window in one round")
    add("--rounds", type=whole_number_to(50))
    add("--name", help="of the result: cpu-NAME-DETECTOR.json; cpu-DETECTOR.json if not said")
    return with_output(parser, words, quick=_QUICK, full=_FULL)


def _large(text: str) -> str:
    return text if text == NO_LARGE else size(text)


_large.__name__ = "size such as 1920x1080, or none"


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
        large=None if options.large == NO_LARGE else options.large,
    )


def _variants_of(names: Sequence[str]) -> list[Variant]:
    """Those that this processor can run; the others are named."""
    wanted = [VARIANTS[name] for name in VARIANTS if name in names]
    for variant in wanted:
        if not variant.possible:
            print(f"Left out: this processor has no {variant.precision}", file=sys.stderr)
    return [variant for variant in wanted if variant.possible]


def bench_of(detector: str, variants: Sequence[Variant]) -> Bench:
    scaled = None
    if any(one.name == SCALED for one in variants):
        decodes_less = f"{detector.upper()}_DECODE=scaled"
        scaled = replace(legacy_service(detector, NO_GPU, decodes_less), name=f"{detector}-{SCALED}")
    return Bench(
        detector, legacy_service(detector, NO_GPU), scaled, variants,
        partial(build, detector), partial(run_alone, detector),
    )  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)
    settings, variants = _settings_of(options), _variants_of(options.variants)
    errors = 0
    for detector in options.detectors:
        name = "-".join(part for part in (options.name, detector) if part)

        def measured(detector: str = detector, name: str = name) -> Comparison:
            return measure(settings, bench_of(detector, variants), name, this_machine())

        errors += concluded(measured, save, as_text, options.out).errors
    require_answered(errors)


if __name__ == "__main__":
    main()
