"""One line on stderr: how far, what was just measured, and how long it will still take.

Drawn when something has happened and by no thread: what measures times has the processor to itself.
"""

from __future__ import annotations

import time

from ai.terminal.live import LiveLine
from ai.terminal.progress import Count, minutes

BAR_SIGNS = 20
_DONE, _LEFT = "━", "─"


class Progress:
    def __init__(self, steps: int) -> None:
        self._count = Count("", steps, "", time.monotonic)
        self._steps = steps
        self._line = LiveLine(every_s=0.0)

    def say(self, text: str) -> None:
        self._line.show(f"{self._bar}[{self._count.done:>3.0f}/{self._steps}] {text}{self._count.left}")

    def step(self, text: str) -> None:
        self._count.done += 1
        self.say(text)

    def done(self) -> None:
        self.say(f"measured in {minutes(self._count.passed_s)}")
        self._line.done()

    @property
    def _bar(self) -> str:
        """For eyes; a log needs none."""
        if not self._line.is_redrawn:
            return ""
        filled = round(BAR_SIGNS * self._count.done / max(self._steps, 1))
        return f"{_DONE * filled}{_LEFT * (BAR_SIGNS - filled)} "
