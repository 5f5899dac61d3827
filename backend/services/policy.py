"""What the configuration says of requests, whichever detector they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ai.core.detections import Thresholds
from backend.sides import Side


@dataclass(frozen=True, slots=True)
class Policy:
    default_detector: str
    thresholds: Thresholds
    fallbacks: Mapping[Side, tuple[Side, ...]]
    timeouts_s: Mapping[Side, float]
    deadline_s: float = 5.0
    triton_share: float = 0.4  # of the deadline, while somebody else could still be asked
    max_retries: int = 3
