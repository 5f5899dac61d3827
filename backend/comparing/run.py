"""The comparison itself: both sides are asked side by side, pairs are judged in the order of the pictures.

    feed → both sides at once, a dozen pictures under way → the judge, in order → tally

What is judged goes through the same judge and counts as a live pair does; only the clock of the cameras is left out:
a picture proves something when what legacy sees has changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ai.core.detections import Thresholds
from ai.core.errors import BackendError, Refused
from ai.core.matching import compare
from backend.comparing.asking import Desk
from backend.comparing.errors import CannotCompare
from backend.comparing.feed import Feed
from backend.comparing.shelf import same
from backend.comparing.tally import Tally
from backend.comparing.worst import Worst
from backend.footage import Frame
from backend.observe.events import Compared
from backend.rollout.store import Store
from backend.rollout.stores.memory_store import MemoryStore
from backend.services.errors import code_of
from backend.shadow.judging import PairJudge
from backend.shadow.pairs import Offer, Saw
from backend.shadow.turns import Turns
from backend.sides import LEGACY, SIDES, Side

UNDER_WAY = 12  # pictures: enough for Triton's batches, and little memory
MOST_FAILURES = 10  # of one side in a row: it is not there

T = TypeVar("T")
Outcome = Saw | BackendError


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture and what both sides answered."""

    frame: Frame
    outcomes: dict[Side, Outcome]


class Comparing:
    """Make it on the event loop that uses it."""

    def __init__(
        self, desks: Mapping[Side, Desk], tally: Tally, thresholds: Thresholds, worst: Worst, tell: Callable[[], None]
    ) -> None:  # fmt: skip
        self._desks = desks
        self._tally = tally
        self._thresholds = thresholds
        self._judge = PairJudge(Turns(InMemory(), gap_s=0.0), worst, lambda _: "")
        self._tell = tell
        self._failures = dict.fromkeys(SIDES, 0)

    async def run(self, feed: Feed) -> None:
        """CannotCompare where the footage ends at once, or a side is not there."""
        under_way: deque[asyncio.Task[Asked]] = deque()
        try:
            async for frame in feed.frames():
                under_way.append(asyncio.create_task(self._ask_both(frame)))
                if len(under_way) >= UNDER_WAY:
                    await self._settle(await under_way.popleft())
            while under_way:
                await self._settle(await under_way.popleft())
        finally:
            await feed.close()
            for task in under_way:
                task.cancel()
            self._judge.close()

    async def _ask_both(self, frame: Frame) -> Asked:
        answers = await asyncio.gather(*(self._ask(side, frame) for side in SIDES))
        return Asked(frame, dict(zip(SIDES, answers, strict=True)))

    async def _ask(self, side: Side, frame: Frame) -> Outcome:
        try:
            return await self._desks[side].ask(frame)
        except BackendError as error:
            return error

    async def _settle(self, asked: Asked) -> None:
        legacy, triton = (asked.outcomes[side] for side in SIDES)
        self._require_different(legacy, triton)
        if isinstance(legacy, Refused) and isinstance(triton, Refused):
            self._tally.refused()
        else:
            for side, outcome in asked.outcomes.items():
                self._count(side, outcome)
            self._tally.judged(await self._judged(asked.frame, legacy, triton))
        self._tell()

    def _require_different(self, legacy: Outcome, triton: Outcome) -> None:
        """What a Triton of somebody else's serves is known when it answers."""
        a, b = (self._desks[side].contender for side in SIDES)
        if not (a.model and a.model == b.model and isinstance(legacy, Saw) and isinstance(triton, Saw)):
            return
        if legacy.model_version == triton.model_version:
            raise CannotCompare(same(a, b, triton.model_version))

    async def _judged(self, frame: Frame, legacy: Outcome, triton: Outcome) -> Compared:
        if isinstance(legacy, BackendError):
            return Compared(self._tally.detector, "legacy_failed", frame.camera)

        saw = triton if isinstance(triton, Saw) else None

        async def again() -> Saw | None:
            """Only where they differ, which halves the work and can only make the other side look worse: legacy's
            noise is taken off where it may explain a difference, and nowhere else."""
            if saw and not compare(legacy.detections, saw.detections, self._thresholds).differs:
                return legacy
            second = await self._ask(LEGACY, frame)
            return second if isinstance(second, Saw) else None

        return await self._judge.judge(self._offer(frame), legacy, saw, again)

    def _offer(self, frame: Frame) -> Offer:
        return Offer(
            self._tally.detector,
            frame.camera,
            f"{frame.number}",
            frame.image,
            self._thresholds,
            LEGACY,
            {},
            {},
        )

    def _count(self, side: Side, outcome: Outcome) -> None:
        if isinstance(outcome, Saw):
            self._failures[side] = 0
            self._tally.answered(side, outcome)
            return
        self._tally.failed(side, code_of(outcome))
        self._failures[side] += outcome.counts_against_backend
        if self._failures[side] >= MOST_FAILURES:
            who = self._desks[side].name
            raise CannotCompare(f"{who} gave no answer to {MOST_FAILURES} pictures in a row: {outcome}")


class InMemory:
    """The cameras' turns, which live workers share by their store."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def __call__(self, work: Callable[[Store], T]) -> T:
        return work(self._store)
