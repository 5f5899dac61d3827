"""What happens on the way of a request and around it. Whoever lets it happen knows these, and no metric or log.

An observer cannot break what it observes: `told` swallows and logs whatever a listener raises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from backend.sides import Side

logger = logging.getLogger(__name__)

Outcome = Literal["ok", "refused", "unavailable", "busy", "late", "gone", "failed"]
"""answered · both sides refuse the picture · no side could serve · shed · the deadline passed · the caller hung up
· a fault of ours"""

BreakerState = Literal["closed", "open", "half_open"]


ChangeKind = Literal["ramp", "rollback", "hand", "environment"]
"""a ramp moved · everything or one detector went back to legacy · a person · a variable"""

Verdict = Literal["same", "different", "triton_failed", "legacy_failed"]
AttemptCode = Literal[
    "ok", "unavailable", "overloaded", "deadline_exceeded", "server_error", "model_not_found", "invalid_model_output",
    "refused", "cancelled",
]  # fmt: skip
FallbackReason = Literal[
    "breaker_open", "full", "share", "pace", "flag_changed", "unavailable", "overloaded", "deadline_exceeded",
    "server_error", "model_not_found", "invalid_model_output", "refused",
]  # fmt: skip
"""why a side was not asked · how its call failed"""
ShedReason = Literal["full", "share", "pace"]
"""no place left · this camera has its share · it would be too late"""
Light = Literal["day", "infrared"]
DropReason = Literal[
    "queue_full",  # too many wait for their comparison …
    "bytes_full",  # … or their pictures are too large together
    "unavailable",  # the breaker of the other side is open
    "overloaded",  # the other side has enough to do with callers
    "flag_changed",  # Triton was switched off, or the request taken from it
    "refused",  # both sides refuse the picture
    "gone",  # the caller hung up before there was an answer
    "closing",  # this worker ends
    "fault",  # of ours
]


@dataclass(frozen=True, slots=True)
class Attempted:
    """One call of one side has ended; its caller may be gone by then."""

    detector: str
    backend: Side
    code: str  # "ok", or the error's name: "unavailable", "deadline_exceeded", … ("cancelled": at shutdown)
    duration_s: float
    synthetic: bool = False  # a probe; no caller waits for it


@dataclass(frozen=True, slots=True)
class Retried:
    detector: str
    backend: Side


@dataclass(frozen=True, slots=True)
class RetryBudgetExhausted:
    detector: str
    backend: Side


@dataclass(frozen=True, slots=True)
class FellBack:
    detector: str
    from_: Side
    to: Side
    reason: str


@dataclass(frozen=True, slots=True)
class Shed:
    backend: Side
    reason: ShedReason


@dataclass(frozen=True, slots=True)
class InFlight:
    backend: Side
    count: int


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    detector: str
    backend: Side
    to: BreakerState


@dataclass(frozen=True, slots=True)
class SideReady:
    """Whether callers would be served by this side now, told again and again."""

    detector: str
    backend: Side
    ready: bool | None  # it has answered and its breaker is closed; None: the flags lead nobody to it


@dataclass(frozen=True, slots=True)
class HeadroomMeasured:
    """What legacy could carry over what is asked of this detector now; under 1 the fallback would not hold."""

    detector: str
    ratio: float


@dataclass(frozen=True, slots=True)
class FlagsSeen:
    """What this worker obeys from now on."""

    enabled: bool  # and no kill switch is thrown
    version: int
    stale: bool
    asked: Mapping[str, float]  # by detector: what the state says
    effective: Mapping[str, float]  # by detector: what is done, kill switch, staleness and quotas considered


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    """This worker has made a change of the flags; the others only see it."""

    kind: ChangeKind


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """One image of one caller."""

    request_id: str
    caller_request_id: str
    camera: str | None
    detector: str
    decided: Side  # who was to serve it
    outcome: Outcome
    backend: Side | None  # who served it
    model_version: str
    reason: str  # of the decision
    fallback_reason: str | None
    attempts: int
    bucket: int
    fraction: float
    flag_version: int
    found: int  # detections at or over the threshold
    total_s: float
    backend_s: float  # of the call that served it
    error: str | None = None
    trace_id: str = ""  # W3C's, of the trace that it is a part of; a caller's value


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A request for detections that ended outside the client: no image of it ended there, or what did never arrived."""

    detector: str  # a configured one
    outcome: Literal["busy", "failed"]  # no room for its body · a fault of the API's


@dataclass(frozen=True, slots=True)
class Compared:
    """A pair of answers to one picture was compared, or one of them never came."""

    detector: str
    verdict: Verdict
    camera: str | None = None
    light: Light | None = None
    latency_delta_s: float | None = None  # Triton's minus legacy's
    mean_iou: float | None = None  # of matched boxes
    differences: tuple[tuple[str, str], ...] = ()  # (kind, label) of each; of a swap legacy's label
    swaps: tuple[tuple[str, str], ...] = ()  # (legacy's label, Triton's label)
    seen: tuple[str, ...] = ()  # the labels of what legacy saw
    evidence: int | None = (
        None  # 1{Triton ≠ legacy} − 1{legacy ≠ legacy again}; None: this pair proves nothing
    )
    model_version: str = ""  # Triton's
    unproven: bool = False  # it was to be evidence, and legacy gave no second answer
    flag_version: int | None = None  # by which the request was decided, where that is known


@dataclass(frozen=True, slots=True)
class ShadowDropped:
    """A request that was chosen for a comparison, which was not made."""

    detector: str
    reason: DropReason
    flag_version: int | None = None  # as above


@dataclass(frozen=True, slots=True)
class DisagreementMeasured:
    """Told by the worker that leads, at each look."""

    detector: str
    ratio: float | None  # None: nothing is compared yet at this step, or this worker leads no more


@dataclass(frozen=True, slots=True)
class RampStepped:
    detector: str
    step: int


@dataclass(frozen=True, slots=True)
class RampStands:
    """Where a ramp is on its way, as every worker sees it."""

    detector: str
    running: bool  # from its start to its last promotion, paused or not; a dry run never is
    step_at: float  # unix seconds; when the evidence of this step was begun
    rolled_back: bool = False  # by itself, and nobody has started another one or given Triton a share since


@dataclass(frozen=True, slots=True)
class RampWaits:
    """Told by the worker that leads, at each look."""

    detector: str
    for_a_person: bool  # neither time nor traffic would bring it further


@dataclass(frozen=True, slots=True)
class RampRolledBack:
    """By itself."""

    detector: str


Event = (
    Attempted | Retried | RetryBudgetExhausted | FellBack | Shed | InFlight | BreakerMoved | SideReady
    | HeadroomMeasured | FlagsSeen | FlagsChanged | RequestEnded | TurnedAway | Compared | ShadowDropped
    | DisagreementMeasured | RampStepped | RampStands | RampWaits | RampRolledBack
)  # fmt: skip
Observer = Callable[[Event], None]


def told(*listeners: Observer) -> Observer:
    """One observer that tells each listener, and lets none of them hurt the path."""

    def observe(event: Event) -> None:
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("an observer failed on %s", type(event).__name__)

    return observe
