"""What a caller is told when there are no detections for a picture.

    CrossfadeError
    ├── BackendError            one side failed (ai.core.errors draws its kinds); never reaches a caller
    └── NotServed               the request ends without detections              HTTP
        ├── UnknownDetector         no such detector is served here               422
        ├── AllRefused              legacy refuses the picture, or all asked do   422
        ├── TooBusy                 those that work have no place left            503, Retry-After
        ├── NoSide                  no side that may be asked can serve           503, Retry-After
        ├── TooLate                 the deadline passed first                     504
        └── SideOff                 the side that an admin asked for is off       409

An empty list of detections is none of these: it means that somebody looked, and saw nothing.
"""

from __future__ import annotations

from typing import ClassVar

from ai.core.errors import BackendError, CrossfadeError
from backend.observe.events import Outcome


class NotServed(CrossfadeError):
    """The message is a sentence for the caller; what the sides said in detail is in the log."""

    outcome: ClassVar[Outcome] = "failed"

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownDetector(NotServed):
    outcome = "refused"


class AllRefused(NotServed):
    outcome = "refused"


class TooBusy(NotServed):
    outcome = "busy"


class NoSide(NotServed):
    outcome = "unavailable"


class TooLate(NotServed):
    outcome = "late"


class SideOff(NotServed):
    outcome = "refused"


def code_of(error: BackendError) -> str:
    """Its kind as metrics, logs and answers name it: `DeadlineExceeded` is deadline_exceeded."""
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
