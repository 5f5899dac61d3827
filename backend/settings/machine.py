"""Where this machine keeps what is made while running."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from backend.settings.kinds import MIB, Seconds


class MachineSettings(BaseSettings):
    """Where this machine keeps what is made while running, and how `crossfade up` treats its parts."""

    crossfade_var: Path = Field(
        Path("var"), description="folder of logs, the store, keys and whatever else is made while running"
    )
    log_max_bytes: int = Field(
        10 * MIB, ge=10_000, description="bytes of one log of a part that `crossfade up` started …"
    )
    log_files: int = Field(5, ge=1, le=100, description="… and how many of each, old ones too")
    start_timeout_s: Seconds = Field(180.0, description="seconds that `crossfade up` waits for its parts")
