"""Why a camera cannot be played, and why there is nothing more of it."""

from __future__ import annotations

from ai.core.errors import CrossfadeError


class CannotPlay(CrossfadeError):
    """A sentence: what is missing, and what would help."""


class Ended(CrossfadeError):
    """What was recorded is over, after so many frames."""

    def __init__(self, frames: int) -> None:
        super().__init__(f"over after {frames:,} frames")
        self.frames = frames
