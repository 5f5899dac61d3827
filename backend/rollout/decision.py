"""Where one request goes first, and why: a value, made once, carried into the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backend.sides import Side

Reason = Literal[
    "KILL_SWITCH",  # TRITON_ENABLED is false, in the environment or in .env
    "DISABLED",  # the switch of the state is off
    "PIN",  # the camera is pinned to this side
    "OVERRIDE",  # by the detector's own fraction
    "FRACTION",  # by the common fraction
    "QUOTA",  # by the published list of cameras (ROLLOUT_KEY=camera-quota)
    "STALE",  # the source cannot be read: by the last state that could
    "COLD_START",  # nothing was ever read: legacy
    "FORCED",  # an admin asked for this side
]


@dataclass(frozen=True, slots=True)
class Decision:
    backend: Side
    reason: Reason
    bucket: int  # 0 .. 99,999
    fraction: float  # what it was held against
    version: int  # of the state
    shadowed: bool  # to be compared with the other side afterwards
    triton_on: bool  # else nothing may touch Triton, as a fallback neither
