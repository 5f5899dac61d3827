"""`crossfade serve` and `models`, and that there is a `doctor`: the backend alone, and what a Triton serves."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from backend.commands.words import Commands, add
from backend.settings import Settings, read_settings, whole_environment
from backend.stack.plan import command_of


def add_words(commands: Commands) -> None:
    serve = add(commands, "serve", _serve, "the backend alone, in the foreground",
                "As production runs it: the sides are wherever RTDETR_URL, YOLO26_URL and TRITON_URL say.")  # fmt: skip
    serve.add_argument("--workers", type=int, metavar="N", help="processes (WORKERS, 1)")
    commands.add_parser("models", help="build, list, add and compare what a Triton serves", add_help=False)
    commands.add_parser(
        "doctor", help="what keeps this machine from running it, and how to mend it", add_help=False
    )


def models(arguments: Sequence[str]) -> int:
    """In a process of its own, with words of its own: it needs torch, and nothing else here does."""
    return subprocess.run(command_of("ai.triton.models", *arguments), check=False).returncode  # noqa: S603 - our own module, the caller's own words


def _serve(args: argparse.Namespace, settings: Settings) -> int:
    """In this process' place, so that signals reach it and its exit status is the command's."""
    if args.workers is not None:
        settings = read_settings(workers=args.workers)
    os.execve(  # noqa: S606 - our own module
        sys.executable,
        command_of("backend.serve"),
        {**whole_environment(), "WORKERS": str(settings.workers)},
    )
