"""What the commands that ask a backend share: which one, with which key."""

from __future__ import annotations

import argparse

from backend.commands.words import Command, Commands, add
from backend.settings import Settings, whole_environment
from backend.stack.backend_api import BackendApi
from backend.stack.errors import StackError

KEY_VARIABLE = "CROSSFADE_KEY"


def add_asking(
    commands: Commands, name: str, command: Command, summary: str, more: str = ""
) -> argparse.ArgumentParser:
    """As `words.add` does, with the words for an address and a key."""
    parser = add(commands, name, command, summary, more)
    parser.add_argument("--url", help="the backend (default: this machine's, from HOST and PORT)")
    parser.add_argument(
        "--key", help=f"for another machine's backend ({KEY_VARIABLE}; default: var/admin-key)"
    )
    return parser


def backend_of(args: argparse.Namespace, settings: Settings) -> BackendApi:
    """StackError where nothing could be asked with such words. A key from a file often has a line end behind it."""
    key = (args.key or whole_environment().get(KEY_VARIABLE) or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise StackError("the key has signs that no header carries; is it the whole key, and nothing else?")
    try:
        return BackendApi.of(settings, args.url, key or None)
    except ValueError as error:
        raise StackError(f"{args.url} is no address of a backend ({error})") from error
