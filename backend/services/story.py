"""What happened to one request so far: which sides failed it, what its caller is told when none is left, and what is
said of it when it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ai.core.errors import BackendError, CrossfadeError, Refused
from ai.web.tracing import trace_id
from backend.observe.events import Outcome, RequestEnded
from backend.services.errors import AllRefused, NoSide, NotServed, TooBusy, TooLate, code_of
from backend.services.lanes import Barrier
from backend.services.request import Request, Served
from backend.shadow.pairs import Offer, Saw
from backend.sides import LEGACY, Side
from backend.transports.base import Found

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
    saw: dict[Side, Saw] = field(default_factory=dict)

    def answered(self, side: Side, found: Found, took_s: float) -> None:
        self.saw[side] = Saw(found.detections, found.model_version, took_s)

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
        if (refusal := self._refusal()) is not None:
            return AllRefused(f"The picture is refused: {refusal.error}")
        if late:
            return TooLate(f"The deadline passed before there was an answer ({asked}).")
        if any(failure.reason in BUSY for failure in self.failures):
            return TooBusy(f"Too much is asked at the moment ({asked}).", retry_after_s)
        return NoSide(f"No side can serve at the moment ({asked}).", retry_after_s)

    def _refusal(self) -> Failure | None:
        """Of the picture itself, which no second try would mend, whatever kept another side from looking at it.

        Legacy's is one. Triton's alone is not, where legacy gave no answer: a wrong name of an input looks the same.
        """
        refusals = [failure for failure in self.failures if isinstance(failure.error, Refused)]
        by_legacy = next((failure for failure in refusals if failure.side == LEGACY), None)
        return by_legacy or (refusals[-1] if len(refusals) == len(self.failures) else None)

    def offer(self, request: Request, outcome: Outcome) -> Offer | None:
        """To be compared, now that it has ended; None for a caller's own error, and where nobody was asked.

        Triton is held against legacy: a picture that only Triton was shown, and refuses, is no caller's error yet.
        """
        failed = {failure.side: failure.reason for failure in self.failures}
        if (outcome == "refused" and LEGACY in failed) or not (failed or self.saw):
            return None
        return Offer(
            request.detector, request.camera, request.info.request_id, request.image, request.thresholds,
            request.decision.backend, self.saw, failed, request.decision.version, request.info.headers,
        )  # fmt: skip

    def ended(
        self, request: Request, outcome: Outcome, served: Served | None, total_s: float
    ) -> RequestEnded:
        decision = request.decision
        return RequestEnded(
            request_id=request.info.request_id,
            caller_request_id=request.info.caller_request_id,
            camera=request.camera,
            detector=request.detector,
            decided=decision.backend,
            outcome=outcome,
            backend=served.backend if served else None,
            model_version=served.model_version if served else "",
            reason=decision.reason,
            fallback_reason=self.fallback_reason,
            attempts=self.attempts,
            bucket=decision.bucket,
            fraction=decision.fraction,
            flag_version=decision.version,
            found=len(served.detections) if served else 0,
            total_s=total_s,
            backend_s=served.backend_s if served else 0.0,
            error=str(self) or None,
            trace_id=trace_id(request.info.headers),
        )
