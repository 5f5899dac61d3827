"""The baseline: what each legacy service does today, on this machine, and where its time goes.

python -m benchmarks.baseline            # 11 minutes on 2 cores
python -m benchmarks.baseline --quick    # under a minute; shows that it works, measures nothing worth keeping
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.command import concluded, require_answered
from benchmarks.loadgen import TIMEOUT_S
from benchmarks.machine import Machine, this_machine
from benchmarks.options import number_between, size, whole_number_to
from benchmarks.pictures import JPEG_QUALITY, PICTURES, Size, draw_pictures
from benchmarks.plot import draw
from benchmarks.processes import (
    ROOT,
    Program,
    do_nothing,
    legacy_service,
)
from benchmarks.report import SCHEMA, Report, Settings, beside_ceiling
from benchmarks.suite import Suite, Target
from benchmarks.table import as_text

SERVICES = ("yolo26", "rtdetr")
CEILING_S = 1.5  # thousands of requests: a longer window would say the same

_FULL = {
    "callers": [1, 4, 8, 16, 32],
    "sizes": ["640x360", "1280x720", "1920x1080"],
    "seconds": 3.0,
    "repeats": 3,
    "out": ROOT / "benchmarks" / "results",
    "name": None,
}
_QUICK = {
    **_FULL, "callers": [1, 4], "sizes": ["640x360"], "seconds": 1.0, "repeats": 1,
    "out": ROOT / "var" / "benchmarks", "name": "quick",
}  # fmt: skip


def measure_baseline(
    settings: Settings, programs: Sequence[Program], name: str | None, machine: Machine
) -> Report:
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as folder:
        suite = Suite(
            targets=[*(Target(program, settings.seconds) for program in programs), _ceiling(settings)],
            pictures=[draw_pictures(Size.of(size), Path(folder)) for size in settings.sizes],
            callers=settings.callers,
            repeats=settings.repeats,
            timeout_s=settings.timeout_s,
        )
        suite.run()
        ceiling = suite.cells("nothing")
        measured = [cell for program in programs for cell in suite.cells(program.name)]
    return Report(
        schema_version=SCHEMA,
        suite="baseline",
        name=name or ("gpu" if machine.gpus else "cpu"),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        machine=machine,
        settings=settings,
        services={program.name: suite.health[program.name] for program in programs},
        cells=beside_ceiling(measured, ceiling),
        ceiling=ceiling,
    )


def _ceiling(settings: Settings) -> Target:
    return Target(do_nothing(), settings.ceiling_seconds)


def commit() -> str | None:
    """What is checked out, with `-dirty` if files differ from it; None where git cannot tell."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def save(report: Report, folder: Path) -> list[Path]:
    path = folder / f"{report.suite}-{report.name}.json"
    report.save(path)
    return [path, *draw(report, path)]


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.baseline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--services", nargs="+", choices=SERVICES, default=list(SERVICES))
    add("--callers", nargs="+", type=whole_number_to(256))
    add("--sizes", nargs="+", type=size, help="such as 1280x720")
    add("--seconds", type=number_between(0.2, 60), help="the window of one cell in one repeat")
    add("--repeats", type=whole_number_to(20))
    add("--out", type=Path, help="folder of the results")
    add("--name", help="of the result: baseline-NAME.json; `cpu` or `gpu` if not said")
    add("--quick", action="store_true", help="two caller counts, one size, one second, into var/benchmarks")
    quick = parser.parse_known_args(words)[0].quick
    parser.set_defaults(**(_QUICK if quick else _FULL))
    return parser.parse_args(words)


def _settings_of(options: argparse.Namespace) -> Settings:
    return Settings(
        services=tuple(dict.fromkeys(options.services)),
        callers=tuple(sorted(set(options.callers))),
        sizes=tuple(dict.fromkeys(options.sizes)),
        seconds=options.seconds,
        ceiling_seconds=min(CEILING_S, options.seconds),
        repeats=options.repeats,
        timeout_s=TIMEOUT_S,
        pictures_per_size=PICTURES,
        jpeg_quality=JPEG_QUALITY,
    )


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)
    settings = _settings_of(options)

    def measured() -> Report:
        programs = [legacy_service(service) for service in settings.services]
        return measure_baseline(settings, programs, options.name, this_machine())

    require_answered(concluded(measured, save, as_text, options.out).errors)


if __name__ == "__main__":
    main()
