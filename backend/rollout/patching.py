"""What a change of the flags may be: which fields, in which words, and that it never leaves requests to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import Change, NotPossible, StoreAway
from backend.sides import LEGACY

FIELDS = ("enabled", "fraction", "shadow", "overrides", "pins", "pins_suspended")
MAX_WORDS_CHARS = 500


def patched(state: RolloutState, patch: Mapping[str, Any]) -> RolloutState:
    for name in patch:
        if name not in FIELDS:
            raise InvalidState(f"{name} is not of the flags; they are {', '.join(FIELDS)}")
    return RolloutState.from_table(state.to_table() | dict(patch))


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
    """StoreAway where nobody could obey it."""
    try:
        if change.state.version == change.version:
            return change.state
    except InvalidState as error:
        raise StoreAway(f"The store holds a state that cannot be obeyed: {error}.") from error
    raise StoreAway(f"The store's version {change.version} holds a state of version {change.state.version}.")
