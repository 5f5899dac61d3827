"""A rollback that was made while the store was away, and whether the store still has to hear of it.

It does until it stands in the history, as what that person did at that time, or until somebody has given Triton a share
again since. A ramp and the environment are nobody: they did not know of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import Change, Store, StoreAway
from backend.sides import TRITON

ENVIRONMENT = "environment"
NOBODY = (ENVIRONMENT, "ramp")
CHANGES_AT_ONCE = 100
_ANY_OTHER = ""  # the name of no detector: what those get that nothing is said of
NOT_HEARD = (
    "This worker sends nothing to Triton any more, others of this machine follow its journal, and the store is told "
    "when it is back; workers elsewhere are not reached. TRITON_ENABLED=false in .env is the switch without a store."
)
NOBODY_HEARD = (
    "This worker sends nothing to Triton any more, and the store is told when it is back; the journal cannot be "
    "written either, so no other worker is reached. TRITON_ENABLED=false in .env is the switch without a store."
)


class RolledBackHere(StoreAway):
    """The store could not be told of a rollback that this worker obeys all the same."""

    def __init__(self, away: StoreAway, in_journal: bool) -> None:
        super().__init__(f"{away} {NOT_HEARD if in_journal else NOBODY_HEARD}")


def is_settled(owed: Change, changes: Iterable[Change]) -> bool:
    """By changes that may have been made since."""
    return any(
        (change.at, change.who) == (owed.at, owed.who)
        or (change.at > owed.at and change.who not in NOBODY and gives_triton_more(change))
        for change in changes
    )


def changes_since(store: Store, owed: Change) -> Iterator[Change]:
    """Newest first. Whatever came after it has a version that is no lower."""
    before: int | None = None
    while page := store.history(CHANGES_AT_ONCE, before):
        for change in page:
            if change.version < owed.version:
                return
            yield change
        before = page[-1].version


def gives_triton_more(change: Change) -> bool:
    """Of any camera's requests, by a fraction, an override or a pin."""
    try:
        after = change.state
        before = RolloutState.from_table(change.before) if change.before else RolloutState()
    except InvalidState:
        return False
    return has_more(after, before)


def has_more(one: RolloutState, other: RolloutState) -> bool:
    """Whether Triton gets more of some camera's requests to some detector by `one`; the switch and shadow aside."""
    detectors = {_ANY_OTHER, *one.overrides, *other.overrides, *one.ramps, *other.ramps}
    cameras = _one_of_each_kind(one, other)
    return any(
        _share(one, camera, detector) > _share(other, camera, detector)
        for detector in detectors
        for camera in cameras
    )


def _one_of_each_kind(one: RolloutState, other: RolloutState) -> set[str | None]:
    """Cameras that are pinned alike in both get alike: thousands of them are nine kinds at most."""
    pinned = {(one.pins.get(name), other.pins.get(name)): name for name in (*one.pins, *other.pins)}
    return {None, *pinned.values()}


def _share(state: RolloutState, camera: str | None, detector: str) -> float:
    pin = state.pin_of(camera, detector)
    return state.fraction_of(detector) if pin is None else float(pin == TRITON)
