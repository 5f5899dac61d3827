"""Which epoch of its ramp a detector is in, and whether something was decided in it.

What was decided in an older epoch may end in this one: a comparison waits for seconds. It is about a Triton, a share or
a ground that is no more, so it is evidence for neither. The version of the flags by which it was decided tells: an
epoch has those from the one on with which this worker first saw it. A worker that missed some versions may take a few
of its own for older ones; that loses them, and never counts one where it does not belong.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from backend.rollout.books import part
from backend.rollout.flags import Flags
from backend.rollout.ramps import book_of
from backend.rollout.state import RolloutState


@dataclass(frozen=True, slots=True)
class Epoch:
    name: str  # "" without a ramp
    book: str
    since: int  # the version of the flags
    cameras: Set[str]  # that gave evidence before the ramp's first step, as books call them

    def has(self, flag_version: int | None) -> bool:
        """Whether that was decided in it. None: nobody knows, so nothing speaks against it."""
        return flag_version is None or flag_version >= self.since


class Epochs:
    """As one worker sees them."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._state: RolloutState | None = None
        self._now: dict[str, Epoch] = {}
        self._last: dict[str, Epoch] = {}

    def of(self, detector: str) -> Epoch:
        state = self._flags.view.state
        if state is not self._state:
            self._state, self._now = state, {}
        epoch = self._now.get(detector)
        if epoch is None:
            epoch = self._now[detector] = self._last[detector] = self._looked_up(detector, state)
        return epoch

    def _looked_up(self, detector: str, state: RolloutState | None) -> Epoch:
        ramp = state.ramps.get(detector) if state else None
        is_on = ramp is not None and ramp.is_on
        book, last = book_of(detector, ramp), self._last.get(detector)
        since = state.version if state else 0
        if last is not None and last.book == book:
            since = min(since, last.since)
        cameras = part(ramp.baseline or {}, "camera.") if ramp and is_on else {}
        return Epoch(ramp.epoch if ramp and is_on else "", book, since, frozenset(cameras))
