"""How far a comparison is, on stderr: one line that is written over, or in a pipe a plain one now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from backend.comparing.tally import Tally

TERMINAL_S, PIPE_S = 0.3, 10.0


class Progress:
    def __init__(
        self, tally: Tally, total: int | None, output: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tally = tally
        self._total = total
        self._output = output
        self._clock = clock
        self._is_terminal = output.isatty()
        self._began = self._told_at = clock()

    def __call__(self) -> None:
        now = self._clock()
        if now - self._told_at >= (TERMINAL_S if self._is_terminal else PIPE_S):
            self._told_at = now
            self._write(f"\r\033[K{self.line(now)}" if self._is_terminal else f"{self.line(now)}\n")

    def done(self) -> None:
        line = self.line(self._clock())
        self._write(f"\r\033[K{line}\n" if self._is_terminal else f"{line}\n")

    def line(self, now: float) -> str:
        tally, passed_s = self._tally, max(now - self._began, 1e-9)
        done = tally.pairs + tally.unreadable
        of = f" of {self._total:,}" if self._total else ""
        left = self._left(done, passed_s)
        return f"{done:,}{of} pictures, {done / passed_s:.1f}/s{left}; {tally.differing:,} differ"

    def _left(self, done: int, passed_s: float) -> str:
        if not self._total or not 0 < done < self._total:
            return ""
        minutes, seconds = divmod(round(passed_s / done * (self._total - done)), 60)
        return f", {minutes}:{seconds:02} left"

    def _write(self, text: str) -> None:
        with suppress(OSError):  # what is compared goes on when nobody listens
            self._output.write(text)
            self._output.flush()
