"""What the load generator itself reaches: closed and open, from one process and from several.

    python -m benchmarks.load            # 4 minutes on 2 cores
    python -m benchmarks.load --quick    # under a minute, into var/benchmarks: shows that it works, no more

It shares the cores with the endpoint that does nothing, so it is a low estimate: on a machine with more of them,
more processes reach more. A suite whose figures come near these measured the generator.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.command import concluded, require_answered
from benchmarks.load.ceiling import Report, Settings, measure
from benchmarks.load.page import as_text
from benchmarks.machine import this_machine
from benchmarks.options import number_between, size, whole_number_to, with_output
from benchmarks.processes import ROOT

_FULL = {"processes": [1, 2], "callers": [1, 32], "seconds": 2.0, "rounds": 3, "limit_ms": 5.0, "size": "1280x720",
         "name": None, "out": ROOT / "benchmarks" / "results"}  # fmt: skip
_QUICK = {**_FULL, "callers": [4], "seconds": 0.5, "rounds": 1, "limit_ms": 50.0, "size": "640x360",
          "name": "quick", "out": ROOT / "var" / "benchmarks"}  # fmt: skip


def save(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"load-{report.settings.name}.json"
    path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    return [path]


def settings_of(words: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    parser.add_argument("--processes", nargs="+", type=whole_number_to(64), help="that send at once")
    parser.add_argument("--callers", nargs="+", type=whole_number_to(512), help="of the closed loop, in all")
    parser.add_argument("--seconds", type=number_between(0.2, 60), help="of one window")
    parser.add_argument("--rounds", type=whole_number_to(50))
    parser.add_argument(
        "--limit-ms", type=number_between(0.1, 1e4), help="the p95 under which an open loop is in time"
    )
    parser.add_argument("--size", type=size, help="of the pictures, such as 1280x720")
    parser.add_argument("--name", help="of the result: load-NAME.json; `cpu` or `gpu` if not said")
    asked = with_output(parser, words, quick=_QUICK, full=_FULL)
    name = asked.name or this_machine().kind
    settings = Settings(
        name,
        tuple(asked.processes),
        tuple(asked.callers),
        asked.seconds,
        asked.rounds,
        asked.limit_ms,
        asked.size,
    )
    return settings, asked.out


def main(words: Sequence[str] | None = None) -> None:
    settings, out = settings_of(words)
    report = concluded(lambda: measure(settings), save, lambda one: as_text(asdict(one)), out)
    require_answered(report.errors)


if __name__ == "__main__":
    main()
