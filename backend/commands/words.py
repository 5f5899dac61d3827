"""What the commands share: how one is added, how lines are told, what a share is."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TextIO, TypeAlias

from ai.terminal.printable import spelt_out
from ai.terminal.stream import has_colours
from ai.triton.embedded.settings import read_settings as read_embedded
from backend.commands.terminal import safe_for
from backend.settings import Settings
from backend.stack.parts import Part
from backend.stack.plan import parts_of

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Command = Callable[[argparse.Namespace, Settings], int]


class CommandModule(Protocol):
    """What a module of `backend.commands` offers."""

    def add_words(self, commands: Commands, /) -> None: ...


def add(
    commands: Commands, name: str, command: Command, summary: str, more: str = ""
) -> argparse.ArgumentParser:
    """`summary` stands in the list of commands; its own help adds `more`, with examples."""
    parser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=more or None,
    )  # fmt: skip
    parser.set_defaults(command=command)
    return parser


def add_group(commands: Commands, name: str, summary: str, examples: str) -> Commands:
    """A command that has commands of its own."""
    group = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=examples
    )
    return group.add_subparsers(required=True, metavar="WHAT")


def tell(*lines: str) -> None:
    """At once. That nobody listens any more is no failure; that a disk has no room for it is one."""
    with suppress(BrokenPipeError):
        say(*lines)


def mention(*lines: str) -> None:
    """What is started and ended goes on whatever becomes of the words."""
    with suppress(OSError):
        say(*lines)


def say(*lines: str, codes: str = "") -> None:
    """As `tell`, and BrokenPipeError when nobody listens any more. `codes` are for the terminal, and stay as they
    are."""
    _write(sys.stdout, codes, lines)


def tell_document(document: object) -> None:
    """As JSON, which is printable whatever it holds."""
    tell(*json.dumps(document, indent=2).split("\n"))


def complain(*lines: str) -> None:
    with suppress(OSError):
        _write(sys.stderr, "", lines)


def complain_of(error: Exception, where: str) -> None:
    """With the end of a log, perhaps: each of its lines set off, so that none of them passes for one of ours."""
    first, *more = str(error).split("\n")
    complain(f"{where}: {first}", *(f"  {line}" for line in more))


def nobody_listens() -> bool:
    """The reader of the pipe that we write into is gone."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # it has no number
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _write(stream: TextIO | None, codes: str, lines: tuple[str, ...]) -> None:
    """What the terminal's letters cannot show is spelt out. Where the command was started without a stream, nobody
    listens."""
    if stream is None:
        raise BrokenPipeError
    coloured = has_colours(stream)
    text = codes + "".join(f"{safe_for(coloured, line)}\n" for line in lines)
    try:
        stream.write(spelt_out(stream, text))
        stream.flush()
    except OSError:
        _mute(stream)
        raise


def _mute(stream: TextIO) -> None:
    """What is still in its buffer is written at the end once more, and would be complained of there."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def share(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return value


share.__name__ = "number from 0 to 1"  # argparse shows it


def parts(settings: Settings) -> tuple[Part, ...]:
    return parts_of(settings, read_embedded())
