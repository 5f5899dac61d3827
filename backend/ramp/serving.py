"""Which share of the requests Triton gets at a ramp's step."""

from __future__ import annotations

from typing import Final

from backend.rollout.ramps import Ramp

LAST_OF_LEGACY: Final = 0.02  # stays on legacy until the last step has been promoted


def served_fraction(ramp: Ramp) -> float | None:
    """None where the ramp has set none: before its first step, and in a dry run."""
    if ramp.dry_run or ramp.phase not in ("running", "watching"):
        return None
    return ramp.fraction if ramp.phase == "watching" else min(ramp.fraction, 1 - LAST_OF_LEGACY)
