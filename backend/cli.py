"""The `crossfade` command: start everything here, ask it, steer the rollout, see what is wrong, end it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from ai.core.errors import CrossfadeError
from backend import doctor
from backend.commands import batch, cameras, compare, detect, machine, mqtt, ramp, rollout, stack, store
from backend.commands.words import Command, complain_of
from backend.settings import read_settings

# Those that read the settings themselves: a doctor must be able to say what is wrong with them.
_OWN_WORDS: dict[str, Callable[[Sequence[str]], int]] = {"models": machine.models, "doctor": doctor.main}

# Each adds its own words; a new module is one line here.
COMMANDS = (
    stack,
    detect,
    rollout,
    ramp,
    store,
    compare,
    cameras,
    batch,
    machine,
    mqtt,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in _OWN_WORDS:
        sys.exit(_OWN_WORDS[words[0]](words[1:]))
    args = parser().parse_args(words)
    command: Command = args.command
    try:
        sys.exit(command(args, read_settings()))
    except CrossfadeError as error:
        complain_of(error, "crossfade")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crossfade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="crossfade COMMAND --help says more. What can be set by environment and .env: README.md",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in COMMANDS:
        group.add_words(commands)
    return parser


if __name__ == "__main__":
    main()
