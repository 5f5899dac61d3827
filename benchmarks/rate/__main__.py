"""Open loop, legacy against Triton: the highest rate of requests that each answers in time.

    python -m benchmarks.rate            # a quarter of an hour on 2 cores
    python -m benchmarks.rate --quick    # a minute or two, into var/benchmarks: shows that it works, no more
    python -m benchmarks.rate --limit-ms 100 --arrivals even --name even

Requests come whether the server is ready or not, as cameras' do, and a latency begins when its request was due: what a
closed loop hides by making callers wait their turn is in it. A search tries rates until it knows the highest one that
is held, at both sides in turns, in every round anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.command import concluded
from benchmarks.load.arrivals import ARRIVALS, POISSON
from benchmarks.machine import this_machine
from benchmarks.options import number_between, size, whole_number_to, with_output
from benchmarks.processes import ROOT
from benchmarks.rate.page import as_text
from benchmarks.rate.plot import draw
from benchmarks.rate.turns import Report, Settings, measure

_FULL = {"limit_ms": 200.0, "arrivals": POISSON, "seconds": 8.0, "rounds": 3, "windows": 1, "size": "640x360",
         "name": None, "out": ROOT / "benchmarks" / "results"}  # fmt: skip
_QUICK = {**_FULL, "limit_ms": 1500.0, "seconds": 1.5, "rounds": 1, "name": "quick",
          "out": ROOT / "var" / "benchmarks"}  # fmt: skip


def save(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rate-{report.settings.name}.json"
    result = json.loads(json.dumps(asdict(report)))
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return [path, *draw(result, path)]


def settings_of(words: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    parser.add_argument("--limit-ms", type=number_between(1, 1e5), help="the p95 that counts as in time")
    parser.add_argument("--arrivals", choices=ARRIVALS)
    parser.add_argument("--seconds", type=number_between(0.5, 120), help="of one window")
    parser.add_argument("--rounds", type=whole_number_to(20))
    parser.add_argument("--windows", type=whole_number_to(9), help="that try a rate; most of them decide")
    parser.add_argument("--size", type=size, help="of the pictures, such as 1280x720")
    parser.add_argument("--name", help="of the result: rate-NAME.json; `cpu` or `gpu` if not said")
    asked = with_output(parser, words, quick=_QUICK, full=_FULL)
    settings = Settings(
        asked.name or this_machine().kind,
        asked.limit_ms,
        asked.arrivals,
        asked.seconds,
        asked.rounds,
        asked.windows,
        asked.size,
    )
    return settings, asked.out


def main(words: Sequence[str] | None = None) -> None:
    settings, out = settings_of(words)
    concluded(lambda: measure(settings), save, lambda one: as_text(asdict(one)), out)


if __name__ == "__main__":
    main()
