"""How much is compared beside the traffic, and which of it is evidence."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from backend.settings.kinds import MIB, Count, Seconds


class ComparingSettings(BaseSettings):
    """How much is compared beside the traffic, what is kept of it, and which of it counts as evidence."""

    shadow_queue: Count = Field(
        64, description="comparisons that wait for their other side; more are dropped …"
    )
    shadow_queue_bytes: int = Field(
        256 * MIB, ge=1024, description="… and bytes of their pictures, of each worker"
    )
    shadow_concurrency: int = Field(2, ge=1, le=64, description="calls of each side at once, for comparisons")
    shadow_timeout_s: Seconds = Field(10.0, description="seconds of one such call")
    shadow_samples: int = Field(
        200, ge=0, le=10_000, description="pairs that differ, kept as pictures in the store; 0: none"
    )
    shadow_samples_bytes: int = Field(
        64 * MIB, ge=1024, description="bytes of all of them; the oldest go first"
    )
    shadow_samples_age_s: float = Field(
        7 * 86_400.0, gt=0, le=366 * 86_400, description="seconds until one goes by its age"
    )
    evidence_camera_gap_s: float = Field(
        5.0, ge=0, le=3600, description="seconds after which a camera proves something again"
    )
    evidence_latency_gap_s: float = Field(
        5.0, ge=0, le=3600, description="seconds between two times of one side that count, of each worker"
    )
    evidence_flush_s: Seconds = Field(
        1.0, description="seconds between two additions of what a worker counted to the store"
    )
