"""What the flags mean, in the words of the design: kill switch, pin, override, fraction, in this order."""

from __future__ import annotations

from backend.rollout.flags import FRACTION_SALT, SHADOW_SALT, View, bucket_of
from backend.rollout.state import RolloutState
from backend.sides import LEGACY, TRITON, Side

Fallback = str  # legacy, both, none


def obeyed(view: View) -> RolloutState:
    """Nothing was ever read: legacy, unless there is none."""
    return view.state or RolloutState(fraction=0.0 if view.legacy_enabled else 1.0)


def is_on(view: View) -> bool:
    if view.kill_switch:
        return False
    return view.state.enabled if view.state else not view.legacy_enabled


def first_choice(view: View, detector: str, camera: str | None, request_id: str) -> Side:
    state = obeyed(view)
    if not is_on(view):
        return LEGACY
    pin = state.pins.get(camera) if camera else None
    if pin and not (pin == TRITON and state.pins_suspended):
        return pin
    share = state.overrides.get(detector, state.fraction)
    return TRITON if bucket_of(FRACTION_SALT, detector, request_id) < round(share * 100_000) else LEGACY


def is_compared(view: View, detector: str, request_id: str) -> bool:
    shadow = obeyed(view).shadow
    chosen = bucket_of(SHADOW_SALT, detector, request_id) < round(shadow * 100_000)
    return chosen and is_on(view) and view.legacy_enabled


def may_help(view: View, detector: str) -> bool:
    """Triton, where legacy failed (FALLBACK=both): never after a rollback, until somebody gives it a share again."""
    state = obeyed(view)
    rolled_back = state.pins_suspended and not state.overrides.get(detector, state.fraction)
    return is_on(view) and not rolled_back


def reachable(view: View, detector: str, fallback: Fallback) -> set[Side]:
    """Whom a request can get to: first, as the fallback, or in a comparison."""
    state = obeyed(view)
    share = state.overrides.get(detector, state.fraction)
    sides: set[Side] = set(state.pins.values())
    if state.pins_suspended:
        sides.discard(TRITON)
    if round(share * 100_000) > 0:
        sides.add(TRITON)
    if round(share * 100_000) < 100_000 or (state.shadow > 0 and view.legacy_enabled):
        sides.add(LEGACY)
    if state.shadow > 0 and view.legacy_enabled:
        sides.add(TRITON)
    if not is_on(view):
        sides = {LEGACY}
    if TRITON in sides and fallback != "none":
        sides.add(LEGACY)
    if LEGACY in sides and fallback == "both" and may_help(view, detector):
        sides.add(TRITON)
    return sides if view.legacy_enabled else sides - {LEGACY}
