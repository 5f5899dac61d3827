"""What happened to one request so far: which sides failed it, and what its caller is told when none is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ai.core.errors import BackendError, CrossfadeError, Refused
from backend.services.errors import AllRefused, NoSide, NotServed, TooBusy, TooLate, code_of
from backend.services.lanes import Barrier
from backend.sides import Side

Reason = Barrier | Literal["flag_changed"]
BUSY = frozenset({"full", "share", "pace", "overloaded"})


class Barred(CrossfadeError):
    """A side that was not even asked."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Failure:
    side: Side
    reason: str
    error: Barred | BackendError

    def __str__(self) -> str:
        told = "" if isinstance(self.error, Barred) else f" ({self.error})"
        return f"{self.side}: {self.reason}{told}"


@dataclass(slots=True)
class Story:
    attempts: int = 0
    failures: list[Failure] = field(default_factory=list)

    def failed(self, side: Side, error: Barred | BackendError) -> None:
        reason = error.reason if isinstance(error, Barred) else code_of(error)
        self.failures.append(Failure(side, reason, error))

    @property
    def fallback_reason(self) -> str | None:
        return self.failures[0].reason if self.failures else None

    def __str__(self) -> str:
        return "; ".join(map(str, self.failures))

    def verdict(self, late: bool, retry_after_s: float) -> NotServed:
        """Why the request ends without detections."""
        if not self.failures:
            return NoSide(
                "No side may be asked: Triton is switched off here, and so are the legacy services."
            )
        asked = ", ".join(f"{failure.side}: {failure.reason}" for failure in self.failures)
        if all(isinstance(failure.error, Refused) for failure in self.failures):
            return AllRefused(f"The picture is refused: {self.failures[-1].error}")
        if late:
            return TooLate(f"The deadline passed before there was an answer ({asked}).")
        if any(failure.reason in BUSY for failure in self.failures):
            return TooBusy(f"Too much is asked at the moment ({asked}).", retry_after_s)
        return NoSide(f"No side can serve at the moment ({asked}).", retry_after_s)
