"""What a change of the flags may be: which fields, in which words, and that it never leaves requests to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.rollout.ramps import Ramp
from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import Change, NotObeyable, NotPossible
from backend.sides import LEGACY

FIELDS = ("enabled", "fraction", "shadow", "overrides", "pins", "pins_suspended")
MAX_WORDS_CHARS = 500


def patched(state: RolloutState, patch: Mapping[str, Any]) -> RolloutState:
    for name in patch:
        if name not in FIELDS:
            raise InvalidState(f"{name} is not of the flags; they are {', '.join(FIELDS)}")
    return RolloutState.from_table(state.to_table() | dict(patch))


def changed(state: RolloutState, patch: Mapping[str, Any], who: str, at: float) -> RolloutState:
    """By a person or the environment: what follows for the ramps included.

    Whoever names the common fraction speaks of all detectors: every ramp that is on pauses, also where it is the same
    number again, and what a ramp gave its detector beyond it is taken back. It raises no detector that has a fraction
    of its own, one that was rolled back to 0 least of all.
    """
    after = patched(state, patch)
    everywhere = "fraction" in patch
    if everywhere and "overrides" not in patch:
        after = replace(after, overrides=_not_beyond(after))
    if patch.get("pins_suspended") is False:
        after = replace(after, ramps=_given_back(after))
    return after.changed_by_hand(state, who, at, everywhere=everywhere)


def _not_beyond(state: RolloutState) -> Mapping[str, float]:
    """The overrides without those that a ramp set above the common fraction."""
    return {
        name: share
        for name, share in state.overrides.items()
        if name not in state.ramps or share <= state.fraction
    }


def _given_back(state: RolloutState) -> Mapping[str, Ramp]:
    """Pins to Triton, also those of detectors whose ramps were rolled back."""
    return {name: replace(ramp, rolled_back=False) for name, ramp in state.ramps.items()}


def words(text: str) -> str:
    """Whatever a caller wrote, as every store can keep it."""
    return text.encode("utf-8", "replace").decode()[:MAX_WORDS_CHARS]


def require_served(state: RolloutState) -> None:
    """NotPossible where LEGACY_ENABLED=false and this would ask legacy."""
    asked = {"fraction": state.fraction} | {
        f"the override of {name}": fraction for name, fraction in state.overrides.items()
    }
    for name, fraction in asked.items():
        if fraction < 1:
            raise NotPossible(
                f"LEGACY_ENABLED=false leaves {1 - fraction:.0%} of the requests to nobody: "
                f"{name} is {fraction:g} and must be 1 then."
            )
    for camera, side in state.pins.items():
        if side == LEGACY:
            raise NotPossible(f"LEGACY_ENABLED=false: camera {camera!r} cannot be pinned to legacy.")


def readable(change: Change) -> RolloutState:
    """NotObeyable where nobody could obey it."""
    try:
        if change.state.version == change.version:
            return change.state
    except InvalidState as error:
        raise NotObeyable(f"The store holds a state that cannot be obeyed: {error}.") from error
    raise NotObeyable(
        f"The store's version {change.version} holds a state of version {change.state.version}."
    )
