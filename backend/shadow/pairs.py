"""What the two sides saw in one picture: from a request that was chosen for comparison to a judged pair."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ai.core.detections import Detections, Thresholds
from ai.core.header import Bytes
from backend.observe.events import Compared
from backend.sides import Side
from backend.transports.base import NO_HEADERS


@dataclass(frozen=True, slots=True)
class Saw:
    """One side's answer, every box over the score floor."""

    detections: Detections
    model_version: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Offer:
    """A request that was chosen, and what is known of it once its caller has been answered."""

    detector: str
    camera: str | None
    request_id: str
    image: Bytes  # encoded, as it came in
    thresholds: Thresholds
    decided: Side
    saw: Mapping[Side, Saw]
    failed: Mapping[Side, str]  # by side that was to serve it and did not: why
    flag_version: int | None = None  # by which it was decided; None: by no flags
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)  # what traced its request


Again = Callable[[], Awaitable[Saw | None]]
"""Ask legacy once more about the same picture; None where it gave no answer."""


class Judge(Protocol):
    async def judge(self, offer: Offer, legacy: Saw, triton: Saw | None, again: Again) -> Compared:
        """Compare them (`triton` None: it failed), see whether that is evidence, keep the picture if they differ."""
