"""What a side is, for whoever asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ai.core.detections import Detections
from ai.core.header import Bytes

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ask:
    detector: str
    image: Bytes  # encoded, as it came in
    timeout_s: float  # of the whole call, each of its steps included
    media_type: str = "image/jpeg"
    request_id: str = ""
    headers: Mapping[str, str] = field(
        default_factory=lambda: NO_HEADERS
    )  # those that follow a request travel on
    priority: int = 0  # 1 goes before 2; 0 leaves it to the side


@dataclass(frozen=True, slots=True)
class Found:
    """Every box over the score floor; thresholds are applied once, by the caller."""

    detections: Detections
    model_version: str = ""  # of a side that has versions


class Transport(Protocol):
    async def detect(self, ask: Ask) -> Found:
        """Raises nothing but BackendError, and CancelledError where its task is cancelled: nothing is left behind."""

    async def rest(self) -> None:
        """End every connection and background task: this side is not to be touched. The next `detect` wakes it."""

    async def close(self) -> None:
        """For good; what is under way ends as Unavailable."""
