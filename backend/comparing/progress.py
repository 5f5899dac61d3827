"""How far a comparison is: what the tally counts, on the bar that all long work has."""

from __future__ import annotations

from ai.terminal.progress import Progress as Bar
from backend.comparing.tally import Tally


class Progress:
    """Called behind each picture."""

    def __init__(self, tally: Tally, bar: Bar) -> None:
        self._tally = tally
        self._bar = bar
        self._seen = 0

    def __call__(self) -> None:
        seen = self._tally.pairs + self._tally.unreadable
        self._bar.advance(seen - self._seen)
        self._seen = seen
        self._bar.note(f"{self._tally.differing:,} differ")
