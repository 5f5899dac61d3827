"""Tracks A to D on this machine's NVIDIA GPU, and how far they are from its limit: one run, all sides in turns.

python -m benchmarks.gpu                                    # every network; `benchmarks/gpu.sh` is the same
python -m benchmarks.gpu --networks yolo26m --callers 8 64  # one of them, in minutes
python -m benchmarks.gpu --quick                            # YOLO26n at 8 callers for a second each
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from ai.core.errors import CrossfadeError
from ai.triton.stored.served import TUNED
from benchmarks.baseline import CEILING_S, commit
from benchmarks.command import concluded, require_answered
from benchmarks.comparison import SCHEMA as SERVED_SCHEMA
from benchmarks.comparison import Comparison, Settings
from benchmarks.cpu.tracks import Track, pairs_of
from benchmarks.gpu.meter import GpuMeter, metered
from benchmarks.gpu.networks import NETWORKS, Network
from benchmarks.gpu.page import as_text
from benchmarks.gpu.plot import draw
from benchmarks.gpu.report import SCHEMA, Bare, GpuReport
from benchmarks.gpu.tracks import Place, tracks_of
from benchmarks.gpu.variants import GPU_VARIANTS, MAIN
from benchmarks.loadgen import TIMEOUT_S
from benchmarks.machine import this_machine
from benchmarks.medians import ratios_between, rows_of
from benchmarks.options import number_between, size, whole_number_to, with_output
from benchmarks.pictures import JPEG_QUALITY, PICTURES, Pictures, Size, draw_pictures
from benchmarks.processes import ROOT, Program, legacy_service
from benchmarks.rounds import Rounds
from benchmarks.sides import triton_program
from benchmarks.suite import told_by
from benchmarks.variants import Variant

BUILD_S = 1800.0  # to compile a network, and once more for twice as many pictures at once
BARE_S = 900.0
SIZES = (1, 2, 4, 8, 16, 32, 64)

_BARE = TypeAdapter(Bare)

_FULL = {
    "networks": list(NETWORKS),
    "variants": list(GPU_VARIANTS),
    "callers": [1, 4, 8, 16, 32, 64, 128, 512],
    "size": "1280x720",
    "seconds": 2.0,
    "rounds": 3,
    "out": ROOT / "benchmarks" / "results",
    "name": "h200",
}
_QUICK = {
    **_FULL, "networks": ["yolo26n"], "variants": [MAIN], "callers": [8], "seconds": 1.0, "rounds": 1,
    "out": ROOT / "var" / "benchmarks", "name": "quick",
}  # fmt: skip


def measure(network: Network, variants: Sequence[Variant], settings: Settings, name: str) -> GpuReport:
    machine = this_machine()
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created, metered() as meter:
        folder = Path(created)
        weights = network.variable(folder)
        pictures = draw_pictures(Size.of(settings.size), folder)
        _build(network, variants, folder / "models", weights)
        bare = _bare(network, folder, pictures)
        place = _place(network, variants, settings, folder, pictures, weights)
        tracks = tracks_of(place)
        rounds = Rounds(
            [track.side for track in tracks], settings.callers, settings.rounds, settings.timeout_s,
            beside=lambda began_ns, ended_ns: _beside(meter, began_ns, ended_ns),
            afresh=False,  # a dozen compiled networks are minutes in loading
        )  # fmt: skip
        rounds.run()
        served = Comparison(
            schema_version=SERVED_SCHEMA, suite="gpu", name=name, date=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit(), machine=machine, settings=settings, server=rounds.health["triton"],
            sides={track.side.name: _about(track, rounds) for track in tracks}, objects=rounds.objects,
            rows=rows_of(rounds.windows, settings.size, pictures.jpeg_bytes, _other(tracks, settings, pictures)),
            ratios=ratios_between(rounds.windows, pairs_of(tracks)), loops=(), detector=network.detector,
        )  # fmt: skip
    return GpuReport(SCHEMA, network.name, bare, served)


def _bare(network: Network, folder: Path, pictures: Pictures) -> Bare:
    print(f"{network.name}: without a server", file=sys.stderr)
    compiled = GPU_VARIANTS[MAIN].version_in(folder / "models") / TUNED
    words = ["benchmarks.gpu.bare", network.detector, f"--weights={network.weights(folder)}"]
    words += [f"--compiled-in={compiled}"]
    words += ["--sizes", *map(str, SIZES), "--pictures", *map(str, pictures.paths)]
    return _BARE.validate_json(told_by(words, BARE_S).splitlines()[-1])


def _build(network: Network, variants: Sequence[Variant], models: Path, weights: str) -> None:
    """In a process of its own, see `benchmarks.variants`."""
    print(f"{network.name}: compiling and building what Triton is to serve", file=sys.stderr)
    names = [variant.name for variant in variants]
    words = ["benchmarks.build_variants", str(models), *names, f"--detector={network.detector}"]
    told_by(words, BUILD_S, weights)


def _place(
    network: Network, variants: Sequence[Variant], settings: Settings, folder: Path, pictures: Pictures, weights: str
) -> Place:  # fmt: skip
    triton: Program = triton_program(folder / "models", variants, folder / "var")
    return Place(
        legacy_service(network.detector, weights), triton, folder / "models", variants, pictures,
        settings.seconds, settings.ceiling_seconds,
    )  # fmt: skip


def _beside(meter: GpuMeter, began_ns: int, ended_ns: int) -> Mapping[str, float]:
    load = meter.between(began_ns, ended_ns)
    return asdict(load) if load else {}


def _about(track: Track, rounds: Rounds) -> dict[str, object]:
    said = {} if track.side.model else rounds.health[track.side.program.name]
    return {**said, **track.about, "target": False}


def _other(tracks: Sequence[Track], settings: Settings, pictures: Pictures) -> dict[str, tuple[str, int]]:
    """Those that the plain generator does not ask: its ceiling is not theirs."""
    return {track.side.name: (settings.size, pictures.jpeg_bytes) for track in tracks if track.side.client}


def save(report: GpuReport, folder: Path) -> list[Path]:
    path = folder / f"gpu-{report.name}-{report.network}.json"
    report.save(path)
    return [path, *draw(report, path)]


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    add = parser.add_argument
    add("--networks", nargs="+", choices=NETWORKS)
    add(
        "--variants",
        nargs="+",
        choices=GPU_VARIANTS,
        help=f"how Triton serves: all, if not said; {MAIN} always",
    )
    add("--callers", nargs="+", type=whole_number_to(1024))
    add("--size", type=size, help="of the pictures, such as 1280x720")
    add("--seconds", type=number_between(0.2, 60), help="one side's window in one round")
    add("--rounds", type=whole_number_to(50))
    add("--name", help="of the machine: gpu-NAME-NETWORK.json")
    return with_output(parser, words, quick=_QUICK, full=_FULL)


def _settings_of(options: argparse.Namespace) -> Settings:
    return Settings(
        callers=tuple(sorted(set(options.callers))), size=options.size, seconds=options.seconds, loop_seconds=0.0,
        ceiling_seconds=min(CEILING_S, options.seconds), rounds=options.rounds, timeout_s=TIMEOUT_S,
        pictures=PICTURES, jpeg_quality=JPEG_QUALITY,
    )  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)
    settings = _settings_of(options)
    variants = [one for name, one in GPU_VARIANTS.items() if name in {MAIN, *options.variants}]
    errors = 0
    for name in options.networks:
        network = NETWORKS[name]

        def measured(network: Network = network) -> GpuReport:
            return measure(network, variants, settings, options.name)

        try:
            errors += concluded(measured, save, as_text, options.out).errors
        except CrossfadeError as error:
            sys.exit(str(error))
    require_answered(errors)


if __name__ == "__main__":
    main()
