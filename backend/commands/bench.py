"""`crossfade bench`: measures this machine. The suites are in a checkout's `benchmarks`, which is not installed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ai.terminal.interrupting import put_off
from backend.commands.statuses import Status
from backend.commands.words import Commands, add, complain
from backend.settings import whole_environment

LIST = Path("benchmarks", "suites.py")  # what makes a folder a checkout
SUMMARY = "measure this machine: what suites there are, and running them"


def add_words(commands: Commands) -> None:
    bench = add(
        commands, "bench", lambda *_: 0, SUMMARY,
        "  crossfade bench                          what there is, how long each takes, what it needs\n"
        "  crossfade bench cpu overhead             one after the other; results in benchmarks/results\n"
        "  crossfade bench --quick cpu              a minute or two: shows that it works, no more\n"
        "  crossfade bench client -- --rounds 3     words after -- are the suite's own\n"
        "Exit status 0: each ran to its end; 1: one failed; 5: one cannot run here (no GPU, no checkout), and\n"
        "none failed. The suites are in the repository, not in the installed package: docs/performance.md.",
    )  # fmt: skip
    bench.add_argument("--list", action="store_true", help="what there is, and no more")
    bench.add_argument("--quick", action="store_true", help="a minute or two each, into var/benchmarks")
    bench.add_argument("--out", type=Path, metavar="FOLDER", help="of the results")
    bench.add_argument("--json", action="store_true", help="JSON on stdout; what suites print is on stderr")
    bench.add_argument(
        "suites", nargs=argparse.REMAINDER, metavar="SUITE", help="by name, or all; none: they are listed"
    )
    bench.set_defaults(alone=_bench)


def _bench(args: argparse.Namespace) -> int:
    """In this process' place, so that signals reach it and its exit status is the command's."""
    here = Path.cwd()
    if (checkout := checkout_of(here)) is None:
        complain(
            "crossfade bench: the benchmarks are in the repository and not in the installed package: call it in a"
            " checkout that `make setup` has set up"
        )
        return Status.NOT_HERE
    after = args.words[args.words.index("bench") + 1 :]
    put_off()
    os.chdir(checkout)
    command = [sys.executable, "-m", "benchmarks", f"--from={here}", *after]
    return os.execve(sys.executable, command, whole_environment())  # noqa: S606 - our own module


def checkout_of(here: Path) -> Path | None:
    """The one that this package is of, or that the command is called in."""
    for folder in (Path(__file__).parents[2], here, *here.parents):
        if (folder / LIST).is_file():
            return folder
    return None
