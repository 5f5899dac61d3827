"""When may a camera prove something again? Pictures of a scene that stands still are one picture, told many times.

A camera has a turn when some seconds passed since its last one and legacy's boxes have changed since. In each epoch of
a ramp it has one first turn, whatever it shows: what a camera sees at night may be nothing, always, and a Triton that
sees something there has to be judged. Workers share the turns by the store; most of what has none is known without
asking it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ai.core.geometry import iou
from backend.rollout.store import Store, StoreAway, Turn
from backend.shadow.places import IDLE, Places, TakenPlace

SAME_IOU = 0.9
MAX_BOXES = 300  # of one side of a picture, the best
MAX_REMEMBERED = 1_000  # cameras
MAX_NAME_CHARS = 200

Box = Sequence[float]  # x1, y1, x2, y2, class id, 1 where it is surely there (0: it may as well not be)
Differ = Callable[[Sequence[Box], Sequence[Box]], Awaitable[bool]]
T = TypeVar("T")


class AskStore(Protocol):
    async def __call__(self, work: Callable[[Store], T]) -> T:
        """In the thread that the store belongs to; may raise StoreAway."""


def changed(before: Sequence[Box], now: Sequence[Box]) -> bool:
    """Some box that is surely there has no partner of its class at its place: one came, went or moved.

    One that hovers about its threshold changes nothing, whether it is there or not."""
    a, b = _by_class(before), _by_class(now)
    return any(_changed(a.get(one, _NONE), b.get(one, _NONE)) for one in a.keys() | b.keys())


_Table = npt.NDArray[np.float64]
_NONE: _Table = np.empty((0, 6))


def _by_class(boxes: Sequence[Box]) -> dict[float, _Table]:
    """Classes apart, so that no table is larger than it must be."""
    if not boxes:
        return {}
    table = np.array(boxes, np.float64)
    return {float(one): table[table[:, 4] == one] for one in np.unique(table[:, 4])}


def _changed(a: _Table, b: _Table) -> bool:
    partners = iou(a[:, :4], b[:, :4]) >= SAME_IOU
    alone = (a[:, 5] > 0) & ~partners.any(axis=1), (b[:, 5] > 0) & ~partners.any(axis=0)
    return any(bool(side.any()) for side in alone)


async def _at_once(before: Sequence[Box], now: Sequence[Box]) -> bool:
    return changed(before, now)


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
        self._places = Places()
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def take(
        self,
        detector: str,
        camera: str | None,
        boxes: Sequence[Box],
        epoch: str = "",
        differ: Differ = _at_once,
    ) -> bool:
        """Whether it is this camera's turn, which it then has had. All requests without a camera are one camera, and
        so are all cameras beyond the first MAX_CAMERAS. A store that is away gives no turns. `differ` is `changed`,
        wherever the caller wants such work to be done."""
        try:
            name = await self._name(f"{detector}/{epoch or IDLE}", camera)
            return await self._take(name, boxes, differ)
        except StoreAway:
            return False

    async def _name(self, place: str, camera: str | None) -> str:
        """Under which the camera's turns are kept."""
        has_own = self._places.known(place, camera)
        if has_own is None:
            names = await self._ask(lambda store: TakenPlace(store, place).with_one(camera or ""))
            has_own = self._places.learn(place, camera, names)
        return f"{place}/{camera if has_own else ''}"[:MAX_NAME_CHARS]

    async def _take(self, name: str, boxes: Sequence[Box], differ: Differ) -> bool:
        known = self._known.get(name)
        for _ in range(2):  # another worker may have had the last turn
            if known is not None and (
                self._clock() < known.due_at or not await differ(known.turn.seen, boxes)
            ):
                return False
            expected_at = known.turn.at if known else None
            taken, last, age_s = await self._ask(partial(self._taken, name, boxes, expected_at))
            known = _Known(last, self._clock() + self._gap_s - age_s)
            self._remember(name, known)
            if taken:
                return True
        return False

    def _taken(
        self, name: str, boxes: Sequence[Box], expected_at: float | None, store: Store
    ) -> tuple[bool, Turn, float]:
        """Whether it was, the last turn as it is now, and how long ago that is. `boxes` have changed since the turn
        that is expected to be the last."""
        last, now = store.turn(name), store.now()
        age_s = self._age_s(last, now)
        if last is not None and (last.at != expected_at or age_s < self._gap_s):
            return False, last, age_s
        turn = Turn(now, boxes)
        return store.take_turn(name, turn, last.at if last else None), turn, 0.0

    def _age_s(self, last: Turn | None, now: float) -> float:
        """A turn in the future was taken before the clock was set back: long ago, as far as anybody knows."""
        return self._gap_s if last is None or last.at > now else now - last.at

    def _remember(self, name: str, known: _Known) -> None:
        self._known[name] = known
        self._known.move_to_end(name)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
