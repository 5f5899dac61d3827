"""What the flags say of a request, worked out a second time, from the history and the log alone.

On purpose nothing here is the backend's: a rule that asks the code under test agrees with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from tests.chaos.random_record import Line

BUCKETS = 100_000
SALT = "crossfade-fraction-1"
DETECTOR = "yolo26"
OFF = ("KILL_SWITCH", "DISABLED", "COLD_START")  # Triton is touched by nobody

State = Mapping[str, Any]


def bucket_of(request_id: str) -> int:
    words = f"{SALT}\0{DETECTOR}\0{request_id}".encode()
    return int.from_bytes(blake2b(words, digest_size=8).digest(), "big") % BUCKETS


def share_of(state: State) -> float:
    return float(state["overrides"].get(DETECTOR, state["fraction"]))


def is_rolled_back(state: State) -> bool:
    ramp = state["ramps"].get(DETECTOR, {})
    return (state["pins_suspended"] or ramp.get("rolled_back", False)) and not share_of(state)


def pin_of(state: State, camera: str | None) -> str | None:
    side: str | None = state["pins"].get(camera)
    suspended = state["pins_suspended"] or is_rolled_back(state)
    return None if side == "triton" and suspended else side


def decided(line: Line, state: State) -> tuple[str, str]:
    """The side, and the reason where the flags can be read and no switch is thrown."""
    if not state["enabled"]:
        return "legacy", "DISABLED"
    pin = pin_of(state, line.camera)
    if pin is not None:
        return pin, "PIN"
    side = "triton" if line.bucket < round(share_of(state) * BUCKETS) else "legacy"
    return side, "OVERRIDE" if DETECTOR in state["overrides"] else "FRACTION"


def first_choice(line: Line, state: State) -> str:
    return "legacy" if line.reason in OFF else decided(line, state)[0]


def may_help(first: str, line: Line, state: State, fallback: str) -> tuple[str, ...]:
    """Who may serve in its place: Triton never where it is off, or was rolled back, and not where the flag moved."""
    if first == "triton":
        return ("legacy",)
    off = line.reason in OFF or "flag_changed" in (line.error or "") or is_rolled_back(state)
    return ("triton",) if fallback == "both" and not off else ()
