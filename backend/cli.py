"""The `crossfade` command: start everything here, ask it, steer the rollout, see what is wrong, end it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ai.terminal.interrupting import ended_at_once

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from backend.commands.words import CommandModule

ABOUT = """Moves live object detection from FastAPI + PyTorch services to NVIDIA Triton, one percent at a time,
and proves on the way that nothing got worse. This command starts everything here, asks it, steers it and ends it."""
TRACE = "--trace"


def main(arguments: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    with ended_at_once():
        from ai.terminal.ending import ended  # noqa: PLC0415

    sys.exit(ended(lambda: _run(words), "crossfade", trace=TRACE in words[:1]))


def _run(words: list[str]) -> int:
    with ended_at_once():
        import argparse  # noqa: PLC0415

        from ai.core.errors import CrossfadeError  # noqa: PLC0415
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
    import argparse  # noqa: PLC0415

    from ai.terminal.words import Words  # noqa: PLC0415
    from backend.commands.overview import Overview  # noqa: PLC0415

    parser = Overview(prog="crossfade", description=ABOUT)
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
        bench,
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
        bench,
        mqtt,
        completion,
    )


if __name__ == "__main__":
    main()
