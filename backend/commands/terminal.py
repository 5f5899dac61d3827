"""Colours and tables of the commands: on a terminal that has them; in a pipe the same words, plain and aligned."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.cells import cell_len

from ai.terminal.printable import printable
from ai.terminal.stream import has_colours

Kind = Literal["good", "bad", "warn", "soft", "head"]

_CODES: dict[Kind, str] = {
    "good": "\x1b[32m", "bad": "\x1b[31m", "warn": "\x1b[33m", "soft": "\x1b[2m", "head": "\x1b[1m",
}  # fmt: skip
_END = "\x1b[0m"
OURS = re.compile("|".join(re.escape(code) for code in (*_CODES.values(), _END)))
_FIGURE = re.compile(r"[-+]?[\d,]*\.?\d+( ?%)?|-")


def colour(text: str, kind: Kind) -> str:
    """As it is where nobody sees colours; what `text` brought along to steer the terminal is taken out."""
    plain = printable(text)
    return f"{_CODES[kind]}{plain}{_END}" if plain and has_colours(sys.stdout) else plain


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """One line each, below the headers if there are any. Columns are as wide as what stands in them, figures stand to
    the right; cells may be coloured."""
    head = [tuple(headers)] if headers else []
    cells = [tuple(_safe(cell) for cell in row) for row in rows]
    columns = list(zip(*head, *cells, strict=True))
    widths = [max(map(width, column)) for column in columns]
    right = [all(_FIGURE.fullmatch(OURS.sub("", cell)) for cell in column[len(head) :]) for column in columns]
    lines = [_line(row, widths, right, indent) for row in (*head, *cells)]
    return [colour(line, "head") for line in lines[: len(head)]] + lines[len(head) :]


def width(text: str) -> int:
    """In places of the terminal: colours take none, and some letters two."""
    return cell_len(OURS.sub("", text))


def safe_for(stream_has_colours: bool, line: str) -> str:
    """Printable, but for colours of ours where they are seen: the most that a stranger's name can be is red."""
    return _safe(line) if stream_has_colours else printable(OURS.sub("", line))


def _safe(line: str) -> str:
    if "\x1b" not in line:
        return printable(line)
    plain, ours = OURS.split(line), OURS.findall(line)
    return "".join(printable(words) + code for words, code in zip(plain, [*ours, ""], strict=True))


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], indent: str) -> str:
    padded = []
    for cell, wide, is_figure in zip(cells, widths, right, strict=True):
        room = " " * (wide - width(cell))
        padded.append(room + cell if is_figure else cell + room)
    return indent + "  ".join(padded).rstrip()
