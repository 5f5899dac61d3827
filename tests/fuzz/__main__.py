"""The command: runs what is asked for, prints the table, keeps it as JSON, and fails if anything was found."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

from tests.fuzz import api
from tests.fuzz.overseer import Overseer
from tests.fuzz.tally import Tally, table_of
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import made

GROUPS = {
    "pictures": ("jpeg", "png", "webp", "exif", "served"),
    "triton": ("triton-grpc", "triton-http", "triton-described", "triton-line-grpc", "triton-line-http"),
    "legacy": ("legacy-answers", "legacy-line"),
    "api": (api.NAME,),
}
# Of the cases that were asked for, one in so many; what goes over a connection costs milliseconds.
_ONE_IN = {"served": 25, "triton-line-grpc": 20, "triton-line-http": 20, "legacy-line": 10, api.NAME: 250}


def run(group: str, cases: int, seed: int, seconds: float, folder: Path) -> list[Tally]:
    tallies = []
    for name in GROUPS[group]:
        share = max(1, cases // _ONE_IN.get(name, 1))
        print(
            f"{name}: {share:,} {'stories' if name == api.NAME else 'cases'} of seed {seed}", file=sys.stderr
        )
        if name == api.NAME:
            tallies.append(api.run(share, seed, seconds))
        else:
            tallies.append(Overseer(name, seed, share, folder, seconds).run())
    return tallies


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "groups", nargs="*", metavar="|".join(GROUPS), help="all of them, where none is named"
    )
    parser.add_argument("--cases", type=int, default=100_000, help="for each target (default 100,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most, for each target")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there")
    parser.add_argument(
        "--kept", type=Path, default=Path("var/fuzz"), metavar="FOLDER", help="for cases that broke something"
    )
    parser.add_argument(
        "--make", nargs=2, metavar=("TARGET", "NUMBER"), help="write one case to stdout, and ask nothing"
    )
    asked = parser.parse_args()
    if unknown := set(asked.groups) - set(GROUPS):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(GROUPS)}")
    return asked


def main() -> int:
    asked = _asked()
    if asked.make:
        sys.stdout.buffer.write(_made(*asked.make, asked.seed))
        return 0
    tallies: list[Tally] = []
    for group in asked.groups or GROUPS:
        tallies += run(group, asked.cases, asked.seed, asked.seconds, asked.kept)
        if asked.json:
            _keep(asked.json, tallies)
    print(table_of(tallies))
    defects = [defect for tally in tallies for defect in tally.defects]
    print("\n".join(defect.line() for defect in defects))
    return 1 if defects else 0


def _made(name: str, number: str, seed: int) -> bytes:
    target = TARGETS[name]()
    try:
        return made(target, seed, int(number))
    finally:
        target.close()


def _keep(file: Path, tallies: list[Tally]) -> None:
    """Beside what the file says of other targets."""
    known = json.loads(file.read_text()) if file.exists() else {}
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    targets = known.get("targets", {}) | {tally.target: tally.document() for tally in tallies}
    file.write_text(json.dumps({"machine": machine, "targets": targets}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
