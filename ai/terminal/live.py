"""A summary of one line: written over on a terminal, in a pipe told anew now and then, when quiet not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from ai.terminal.printable import printable, spelt_out
from ai.terminal.stream import is_redrawn, standard_error, width_of

TERMINAL_S, PIPE_S = 0.2, 10.0
ERASED = "\r\x1b[K"


class LiveLine:
    """`show` as often as you like; what was shown last stands there at the end."""

    def __init__(
        self,
        every_s: float = PIPE_S,
        *,
        stream: TextIO | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or standard_error()
        self.is_redrawn = not quiet and is_redrawn(self._stream)
        self._every_s = TERMINAL_S if self.is_redrawn else every_s
        self._quiet = quiet
        self._clock = clock
        self._told_at: float | None = None
        self._told = self._latest = ""

    def __enter__(self) -> LiveLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()

    def show(self, line: str) -> None:
        self._latest = line
        now = self._clock()
        if self._told_at is None or now - self._told_at >= self._every_s:
            self._told_at = now
            self._draw()

    def aside(self, *lines: str) -> None:
        """Lines that stay, above the live one."""
        if self._quiet:
            return
        erased = ERASED if self.is_redrawn else ""
        self._write(erased + "".join(f"{printable(line)}\n" for line in lines))
        if self.is_redrawn and self._latest:
            self._draw()

    def done(self) -> None:
        """The latest line for good; may be called again."""
        if self._latest and (self.is_redrawn or self._told != self._latest):
            self._draw()
        if self._latest and self.is_redrawn:
            self._write("\n")
        self._latest = self._told = ""

    def _draw(self) -> None:
        line = self._told = self._latest
        if self.is_redrawn:
            self._write(ERASED + _cut(printable(line), width_of(self._stream) - 1))
        else:
            self._write(f"{printable(line)}\n")

    def _write(self, text: str) -> None:
        if self._quiet:
            return
        with suppress(OSError, ValueError):  # the work goes on when nobody listens any more
            self._stream.write(spelt_out(self._stream, text))
            self._stream.flush()


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"
