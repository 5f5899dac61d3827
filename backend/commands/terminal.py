"""Colours and tables of the commands: on a terminal that has them; in a pipe the same words, plain and aligned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from ai.terminal.colours import OURS, Kind, colour, safe, safe_for

__all__ = ["Kind", "colour", "safe_for", "table", "width"]

_FIGURE = re.compile(r"[-+]?[\d,]*\.?\d+( ?%)?|-")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """One line each, below the headers if there are any. Columns are as wide as what stands in them, figures stand to
    the right; cells may be coloured."""
    head = [tuple(headers)] if headers else []
    cells = [tuple(safe(cell) for cell in row) for row in rows]
    columns = list(zip(*head, *cells, strict=True))
    widths = [max(map(width, column)) for column in columns]
    right = [all(_FIGURE.fullmatch(OURS.sub("", cell)) for cell in column[len(head) :]) for column in columns]
    lines = [_line(row, widths, right, indent) for row in (*head, *cells)]
    return [colour(line, "head") for line in lines[: len(head)]] + lines[len(head) :]


def width(text: str) -> int:
    """In places of the terminal: colours take none, and some letters two."""
    return cell_len(OURS.sub("", text))


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], indent: str) -> str:
    padded = []
    for cell, wide, is_figure in zip(cells, widths, right, strict=True):
        room = " " * (wide - width(cell))
        padded.append(room + cell if is_figure else cell + room)
    return indent + "  ".join(padded).rstrip()
