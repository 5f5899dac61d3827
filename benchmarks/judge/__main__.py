"""Triton's own perf_analyzer beside our generator: do both count the same?

    python -m benchmarks.judge            # 6 minutes on 2 cores
    python -m benchmarks.judge --quick    # under a minute, into var/benchmarks: shows that it works, no more

Both drive one real Triton with the repository that `crossfade models build` makes: encoded pictures of different
lengths in, over HTTP and over gRPC (ours then asks with TritonClient), at the same number of callers, in turns.
perf_analyzer is fetched at first use into var/judge (benchmarks/judge/fetching.py). Where it cannot be had a line says
what is missing and how to get it, and the status is 5.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.command import concluded
from benchmarks.entry.needs import CANNOT_RUN_HERE
from benchmarks.judge.fetching import CannotBeHadError, analyzer
from benchmarks.judge.page import as_text
from benchmarks.judge.turns import GRPC, HTTP, Report, Settings, measure
from benchmarks.machine import this_machine
from benchmarks.options import number_between, size, whole_number_to, with_output
from benchmarks.processes import ROOT

_FULL = {"protocols": [HTTP, GRPC], "callers": [1, 8, 32], "seconds": 6.0, "rounds": 3, "size": "1280x720",
         "name": None, "out": ROOT / "benchmarks" / "results"}  # fmt: skip
_QUICK = {**_FULL, "callers": [4], "seconds": 3.0, "rounds": 1, "size": "640x360",
          "name": "quick", "out": ROOT / "var" / "benchmarks"}  # fmt: skip


def save(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"judge-{report.settings.name}.json"
    path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    return [path]


def settings_of(words: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    parser.add_argument("--protocols", nargs="+", choices=(HTTP, GRPC))
    parser.add_argument("--callers", nargs="+", type=whole_number_to(512))
    parser.add_argument("--seconds", type=number_between(1, 300), help="of one turn")
    parser.add_argument("--rounds", type=whole_number_to(50))
    parser.add_argument("--size", type=size, help="of the pictures, such as 640x360")
    parser.add_argument("--name", help="of the result: judge-NAME.json; `cpu` or `gpu` if not said")
    asked = with_output(parser, words, quick=_QUICK, full=_FULL)
    settings = Settings(
        asked.name or this_machine().kind,
        tuple(asked.protocols),
        tuple(asked.callers),
        asked.seconds,
        asked.rounds,
        asked.size,
    )
    return settings, asked.out


def main(words: Sequence[str] | None = None) -> None:
    settings, out = settings_of(words)
    try:
        judge = analyzer()
        concluded(lambda: measure(settings, judge), save, lambda one: as_text(asdict(one)), out)
    except CannotBeHadError as error:
        print(f"judge: {error}", file=sys.stderr)
        sys.exit(CANNOT_RUN_HERE)


if __name__ == "__main__":
    main()
