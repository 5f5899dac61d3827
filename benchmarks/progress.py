"""One line on stderr: how far, what was just measured, and how long it will still take."""

from __future__ import annotations

import sys
import time


class Progress:
    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._taken = 0
        self._started = time.monotonic()
        self._on_terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        line = f"[{self._taken:>3}/{self._steps}] {text}{self._left()}"
        if self._on_terminal:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def step(self, text: str) -> None:
        self._taken += 1
        self.say(text)

    def done(self) -> None:
        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        self.say(f"measured in {minutes}:{seconds:02}")
        if self._on_terminal:
            print(file=sys.stderr)

    def _left(self) -> str:
        if not 0 < self._taken < self._steps:
            return ""
        left_s = (time.monotonic() - self._started) / self._taken * (self._steps - self._taken)
        minutes, seconds = divmod(round(left_s), 60)
        return f", {minutes}:{seconds:02} left"
