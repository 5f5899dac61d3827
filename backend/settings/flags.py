"""Where the flags are kept, and how often a worker looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from backend.settings.kinds import Seconds


class FlagSettings(BaseSettings):
    """Where the flags are kept, by what requests are divided, and how soon a worker hears of a change."""

    rollout_key: Literal["request", "camera-quota"] = Field(
        "request", description="what is divided by the fraction: single requests, or whole cameras"
    )
    rollout_store: str = Field(
        "",
        repr=False,
        description="`sqlite:///PATH`, `redis[s]://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=NAME]` or `memory:` "
        "(one worker). Empty: `crossfade.db` in `CROSSFADE_VAR`",
    )
    rollout_store_file: Path | None = Field(
        None, description="… or the file that holds it, since it may hold a password; only one of the two"
    )
    rollout_poll_s: Seconds = Field(
        0.1, description="seconds between two looks of a worker whether the store changed"
    )
    rollout_env_poll_s: Seconds = Field(0.25, description="… and whether `.env` did")
    rollout_heartbeat_s: Seconds = Field(
        1.0,
        description="seconds between two signs of life of a worker; one silent for three of them is not waited for",
    )
    rollout_ack_s: Seconds = Field(1.0, description="seconds that a rollback waits for every live worker")
    quota_window_s: Seconds = Field(
        300.0,
        description="seconds of traffic from which the cameras of `camera-quota` are chosen; the first list comes "
        "after half of it, up to 2,000 cameras",
    )

    @field_validator("rollout_store")
    @classmethod
    def _in_small_letters(cls, value: str) -> str:
        """What kind of store it is: Redis:// is redis://."""
        kind, colon, rest = value.strip().partition(":")
        return kind.lower() + colon + rest
