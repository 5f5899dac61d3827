"""One request: who asks, what for, what was decided, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from ai.core.detections import Detections, Thresholds
from ai.core.header import Bytes
from backend.rollout.decision import Decision
from backend.services.deadline import Deadline
from backend.sides import Side
from backend.transports.base import NO_HEADERS


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """Who asks; an empty id is made up."""

    request_id: str = ""
    caller_request_id: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)


NOBODY = RequestInfo()

Begun = Callable[[RequestInfo], RequestInfo]
"""Told of each request as it begins; gives it the headers that its calls carry on."""


def untraced(about: RequestInfo) -> RequestInfo:
    """Where a caller's headers go on as they came."""
    return about


class Wishes(TypedDict, total=False):
    """What a caller may ask for besides its picture; what is left out, or None, the settings and flags decide."""

    camera: str | None
    detector: str | None
    deadline: Deadline | None
    about: RequestInfo
    force: Side | None  # a diagnosis: this side, and no other
    thresholds: Thresholds | None


@dataclass(frozen=True, slots=True)
class Served:
    detections: Detections
    backend: Side
    detector: str
    model_version: str
    decision: Decision
    fallback_reason: str | None  # why the side that was decided for did not serve
    attempts: int
    total_s: float
    backend_s: float


@dataclass(frozen=True, slots=True)
class Request:
    image: Bytes
    detector: str
    camera: str | None
    info: RequestInfo
    deadline: Deadline
    thresholds: Thresholds
    decision: Decision
    started: float

    @property
    def is_forced(self) -> bool:
        return self.decision.reason == "FORCED"


def media_type(image: Bytes) -> str:
    """Only a header: what the picture really is, its reader finds out."""
    if image[:2] == b"\xff\xd8":
        return "image/jpeg"
    return "image/png" if image[:4] == b"\x89PNG" else "image/webp"
