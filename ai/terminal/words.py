"""The parser of every command: what it does not know gets a suggestion, and help keeps its lines."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TextIO

from ai.terminal.printable import printable, spelt_out

_NOT_UNDERSTOOD = 2  # argparse's own status
_CLOSE = 0.6  # of the letters; `statsu` is near `status`, `frob` near nothing


def like(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'status'?`, or nothing where nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=_CLOSE)
    return f"; did you mean {near[0]!r}?" if near else ""


class Words(argparse.ArgumentParser):
    """Its subcommands are of this class too, as argparse arranges it."""

    def __init__(self, **named: Any) -> None:
        named.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**named)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """What is left over is told by the command that it was given to, which knows its own options."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}{self._like_an_option(left)}")
        return found, left

    def error(self, message: str) -> NoReturn:
        """Argparse's own words of a choice name the argument and all the choices; the near one comes after."""
        if chosen := re.search(r"invalid choice: '([^']*)'", message):
            message += like(chosen[1], re.findall(r"'([^']*)'", message[chosen.end() :]))
        self.exit(_NOT_UNDERSTOOD, f"{printable(f'{self.prog}: {message}')} (`{self.prog} --help`)\n")

    def format_help(self) -> str:
        """Its examples, which stand in from the margin, under a heading."""
        told, self.epilog = self.epilog, _headed(self.epilog or "")
        try:
            return super().format_help()
        finally:
            self.epilog = told

    def _print_message(self, message: str, file: TextIO | None = None) -> None:  # type: ignore[override]
        """Argparse writes to stderr where there is no stdout, and fails where that does not have each letter."""
        if message and file is not None:
            super()._print_message(spelt_out(file, message), file)

    def _like_an_option(self, left: Sequence[str]) -> str:
        options = [name for name in self._option_string_actions if name.startswith("--")]
        return next((like(word.split("=")[0], options) for word in left if word.startswith("-")), "")


def _headed(epilog: str) -> str:
    lines = epilog.split("\n")
    first = next((index for index, line in enumerate(lines) if line.startswith(" ")), None)
    return epilog if first is None else "\n".join([*lines[:first], "examples:", *lines[first:]])
