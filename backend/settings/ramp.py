"""By which steps and bounds a ramp moves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from backend.settings.kinds import Count, Seconds, Share, Shares


class RampSettings(BaseSettings):
    """By which steps a ramp moves, what each has to earn, and how often it may be wrong ([ramp.md](ramp.md))."""

    ramp_steps: Shares = Field((0.1, 0.25, 0.5, 0.75, 1.0), description="fractions, rising")
    ramp_disagreement: Shares = Field(
        (0.01, 0.005, 0.003, 0.003, 0.003),
        description="share of pictures seen otherwise, at most, at each step; the last one goes on",
    )
    ramp_errors: Share = Field(0.001, description="at most, of the requests decided for Triton")
    ramp_slow: Share = Field(
        0.07, description="share of Triton's answers slower than legacy's p95 was, at most"
    )
    ramp_fresh: Share = Field(
        0.1, description="share slower than 19 fresh ones of legacy, at most; 0.05 where the sides are equal"
    )
    ramp_step_samples: Count = Field(100, description="evidence samples that a step takes at least …")
    ramp_step_s: float = Field(600.0, ge=0, le=31 * 86_400, description="… and seconds")
    ramp_baseline_times: int = Field(
        400, ge=59, le=100_000, description="times of legacy from which its p95 is bounded"
    )
    ramp_dropped: Share = Field(
        0.05,
        description="share of the chosen comparisons that may be dropped, and of the evidence without legacy's "
        "second answer; more holds the step",
    )
    ramp_promote_alpha: float = Field(
        0.05, gt=0, lt=1, description="chance of a false promotion, at each step"
    )
    ramp_rollback_alpha: float = Field(
        0.01, gt=0, lt=1, description="chance of a false rollback, in a whole ramp"
    )
    ramp_headroom: float = Field(
        1.0, ge=0, le=100, description="legacy's capacity over the demand that a step needs; 0: not asked"
    )
    ramp_gates: Shares = Field((), description="fractions that wait for `crossfade ramp approve`")
    ramp_freeze: str = Field(
        "", description="when nothing is promoted, local time: `fri 16:00-mon 08:00, 22:00-06:00`"
    )
    ramp_look_s: Seconds = Field(1.0, description="seconds between two looks of the leader")
    ramp_lease_s: Seconds = Field(5.0, description="seconds after which a silent leader is replaced")

    @field_validator("ramp_steps", "ramp_disagreement", "ramp_gates", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("ramp_steps")
    @classmethod
    def _rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or value[0] <= 0 or any(a >= b for a, b in pairwise(value)):
            raise ValueError("must be rising shares over 0, such as 0.1,0.25,0.5,0.75,1")
        return value

    @field_validator("ramp_disagreement")
    @classmethod
    def _bounds(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 < bound < 1 for bound in value):
            raise ValueError("must be shares between 0 and 1, such as 0.01,0.005,0.003")
        return value
