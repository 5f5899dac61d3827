"""When may a camera prove something again? Pictures of a scene that stands still are one picture, told many times.

A camera has a turn when some seconds passed since its last one and legacy's boxes have changed since. Workers share the
turns by the store; most of what has none is known without asking it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from ai.core.detections import Detections
from ai.core.geometry import iou
from backend.rollout.store import Store, StoreAway, Turn

SAME_IOU = 0.9
MAX_REMEMBERED = 5_000  # cameras
MAX_NAME_CHARS = 200

Box = Sequence[float]  # x1, y1, x2, y2, class id
T = TypeVar("T")


class AskStore(Protocol):
    async def __call__(self, work: Callable[[Store], T]) -> T:
        """In the thread that the store belongs to; may raise StoreAway."""


def changed(before: Sequence[Box], now: Sequence[Box]) -> bool:
    """Some box has no partner of its class at its place: one came, went or moved."""
    if len(before) != len(now):
        return True
    if not before:
        return False
    a, b = np.array(before, np.float64), np.array(now, np.float64)
    partners = (iou(a[:, :4], b[:, :4]) >= SAME_IOU) & (a[:, None, 4] == b[None, :, 4])
    return not (partners.any(axis=0).all() and partners.any(axis=1).all())


@dataclass(frozen=True, slots=True)
class _Known:
    """A camera's last turn, and when this worker's clock says that the next one may be."""

    turn: Turn
    due_at: float


class Turns:
    def __init__(self, ask: AskStore, gap_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._gap_s = gap_s
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def take(self, detector: str, camera: str | None, seen: Detections) -> bool:
        """Whether it is this camera's turn, which it then has had. All requests without a camera are one camera.
        A store that is away gives no turns."""
        name = f"{detector}/{camera or ''}"[:MAX_NAME_CHARS]
        boxes = [[*(round(side, 1) for side in one[:4]), one.class_id] for one in seen]
        known = self._known.get(name)
        if known is not None and (self._clock() < known.due_at or not changed(known.turn.seen, boxes)):
            return False
        try:
            taken, last, age_s = await self._ask(lambda store: self._taken(store, name, boxes))
        except StoreAway:
            return False
        self._remember(name, _Known(last, self._clock() + self._gap_s - age_s))
        return taken

    def _taken(self, store: Store, name: str, boxes: Sequence[Box]) -> tuple[bool, Turn, float]:
        """Whether it was, the last turn as it is now, and how long ago that is."""
        last, now = store.turn(name), store.now()
        if last is not None and (now - last.at < self._gap_s or not changed(last.seen, boxes)):
            return False, last, now - last.at
        turn = Turn(now, boxes)
        return store.take_turn(name, turn, last.at if last else None), turn, 0.0

    def _remember(self, name: str, known: _Known) -> None:
        self._known[name] = known
        self._known.move_to_end(name)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
