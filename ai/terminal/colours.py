"""Colours where they are seen; in a pipe, on a plain terminal and with NO_COLOR the words alone."""

from __future__ import annotations

import re
import sys
from typing import Literal

from ai.terminal.printable import printable
from ai.terminal.stream import has_colours

Kind = Literal["good", "bad", "warn", "soft", "head"]

_CODES: dict[Kind, str] = {
    "good": "\x1b[32m", "bad": "\x1b[31m", "warn": "\x1b[33m", "soft": "\x1b[2m", "head": "\x1b[1m",
}  # fmt: skip
_END = "\x1b[0m"
OURS = re.compile("|".join(re.escape(code) for code in (*_CODES.values(), _END)))


def colour(text: str, kind: Kind) -> str:
    """As it is where nobody sees colours; what `text` brought along to steer the terminal is taken out."""
    plain = printable(text)
    return f"{_CODES[kind]}{plain}{_END}" if plain and has_colours(sys.stdout) else plain


def safe_for(stream_has_colours: bool, line: str) -> str:
    """Printable, but for colours of ours where they are seen: the most that a stranger's name can be is red."""
    return safe(line) if stream_has_colours else printable(OURS.sub("", line))


def safe(line: str) -> str:
    if "\x1b" not in line:
        return printable(line)
    plain, ours = OURS.split(line), OURS.findall(line)
    return "".join(printable(words) + code for words, code in zip(plain, [*ours, ""], strict=True))
