"""How a request ends in time when a side fails."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from backend.settings.kinds import Count, Seconds, Share


class FailingSettings(BaseSettings):
    """How a request ends in time when a side fails: the deadline, retries, breakers, probes and places."""

    detect_deadline_s: Seconds = Field(
        5.0, description="seconds of a request, all attempts and the fallback included"
    )
    triton_deadline_share: Share = Field(
        0.4, description="of the deadline that Triton may use, while a fallback exists"
    )
    retry_budget_share: Share = Field(0.2, description="retries, of requests …")
    retry_budget_per_s: float = Field(10.0, ge=0, le=10_000, description="… and as many a second besides")
    breaker_failures: Count = Field(5, description="failures in a row that open a breaker …")
    breaker_share: Share = Field(0.5, description="… or this share of failures …")
    breaker_least: Count = Field(20, description="… of at least so many calls …")
    breaker_window_s: Seconds = Field(10.0, description="… within so many seconds")
    breaker_open_s: Seconds = Field(
        5.0, description="seconds until an open breaker is probed for the first time"
    )
    breaker_open_growth: float = Field(
        1.6, ge=1, le=10, description="each next wait is longer by this factor …"
    )
    breaker_open_max_s: Seconds = Field(
        60.0, description="… up to so many seconds; closed for as long, it forgets the growth"
    )
    breaker_probes: Count = Field(3, description="probes in a row that must succeed before it closes")
    probe_timeout_s: Seconds = Field(5.0, description="seconds of one probe")
    probe_idle_s: Seconds = Field(
        10.0, description="a side that nobody asked for so many seconds is asked with a picture of ours"
    )
    abandoned_attempt_s: Seconds = Field(
        0.3, description="seconds that an attempt gets at least, however impatient its caller"
    )
    triton_max_in_flight: Count = Field(
        256, description="places on Triton, for each detector, in each worker"
    )
    legacy_max_in_flight: Count = Field(64, description="places on legacy, the same way")
