"""What the commands share: how one is added, how lines are told, what a share is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from ai.triton.embedded.settings import read_settings as read_embedded
from backend.settings import Settings
from backend.stack.parts import Part
from backend.stack.plan import parts_of

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Command = Callable[[argparse.Namespace, Settings], int]


def add(
    commands: Commands, name: str, command: Command, summary: str, more: str = ""
) -> argparse.ArgumentParser:
    """`summary` stands in the list of commands; its own help adds `more`, with examples."""
    parser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=more or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(command=command)
    return parser


def tell(line: str) -> None:
    """At once; what is started and ended goes on when nobody listens any more."""
    with suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def complain(line: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def share(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return value


share.__name__ = "number from 0 to 1"  # argparse shows it


def parts(settings: Settings) -> tuple[Part, ...]:
    return parts_of(settings, read_embedded())
