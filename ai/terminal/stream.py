"""What a stream can show: a terminal that is drawn on, a terminal without colours, or a pipe that gets plain lines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO


def is_redrawn(stream: TextIO) -> bool:
    """A line there can be written over; a terminal that calls itself dumb cannot do that."""
    if not _is_terminal(stream):
        return False
    from rich.console import Console  # noqa: PLC0415 - a pipe does not wait for it

    return not Console(file=stream).is_dumb_terminal


def has_colours(stream: TextIO) -> bool:
    """As rich finds: not in a pipe, not with NO_COLOR, not where TERM says dumb or unknown."""
    if not _is_terminal(stream):
        return False
    from rich.console import Console  # noqa: PLC0415 - a pipe does not wait for it

    console = Console(file=stream)
    return console.color_system is not None and not console.no_color


def _is_terminal(stream: TextIO | None) -> bool:
    """A program without a standard stream has None there, and one that was closed says ValueError."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def width_of(stream: TextIO) -> int:
    from rich.console import Console  # noqa: PLC0415 - a pipe does not wait for it

    return Console(file=stream).width


def standard_error() -> TextIO:
    """As it is now: who tests replaces it. Where a program was started without one, what is told goes nowhere."""
    return sys.stderr or Path(os.devnull).open("w", encoding="utf-8")
