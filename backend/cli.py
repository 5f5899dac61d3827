"""The `crossfade` command: start everything here, ask it, steer the rollout, see what is wrong, end it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ai.core.errors import CrossfadeError
from ai.terminal.ending import ended

if TYPE_CHECKING:
    from backend.commands.words import CommandModule

TRACE = "--trace"


def main(arguments: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(ended(partial(_run, words), "crossfade", trace=TRACE in words[:1]))


def _run(words: list[str]) -> int:
    """What is imported takes half a second, in which Ctrl-C is to end it as at any other time."""
    from backend.commands.statuses import Status, status_of  # noqa: PLC0415
    from backend.commands.words import complain_of  # noqa: PLC0415
    from backend.settings import read_settings  # noqa: PLC0415

    understood = parser()
    if not words:
        understood.print_help(sys.stderr)
        return Status.WORDS
    known = argparse.Namespace(words=words, alone=None, parser=understood)
    args = understood.parse_args(words, known)
    try:
        return int(args.alone(args) if args.alone else args.command(args, read_settings()))
    except CrossfadeError as error:
        complain_of(error, "crossfade")
        return status_of(error)


def parser() -> argparse.ArgumentParser:
    from ai.terminal.words import Words  # noqa: PLC0415
    from backend.commands.overview import Overview  # noqa: PLC0415

    parser = Overview(prog="crossfade", description=__doc__)
    parser.add_argument(TRACE, action="store_true", help=argparse.SUPPRESS)
    plain: type[argparse.ArgumentParser] = Words
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=plain)
    for module in command_modules():
        module.add_words(commands)
    return parser


def command_modules() -> tuple[CommandModule, ...]:
    """Each adds its own words; a new one is one line here, and a word in overview.GROUPS."""
    from backend.commands import (  # noqa: PLC0415
        batch,
        cameras,
        compare,
        completion,
        console,
        detect,
        machine,
        mqtt,
        ramp,
        rollout,
        stack,
        status,
        store,
    )

    return (
        stack,
        status,
        detect,
        console,
        rollout,
        ramp,
        store,
        compare,
        cameras,
        batch,
        machine,
        mqtt,
        completion,
    )


if __name__ == "__main__":
    main()
