"""Asks sides with a picture of ours, so that no caller pays for finding out: an open breaker is tried, and a side that
nobody asked lately is heard. A side that no decision can lead to is left alone, connections and all."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from ai.core.sample import sample_jpeg
from backend.services.lanes import Lane
from backend.sides import Side
from backend.transports.base import Ask, Transport

logger = logging.getLogger(__name__)

TICK_S = 0.1
AGAIN_S = 1.0  # after a probe of a closed lane that failed
LET_END_S = 5.0  # for attempts under way on a side that is nobody's choice any more, but is not switched off

Reachable = Callable[[str], frozenset[Side]]


class Prober:
    def __init__(
        self,
        lanes: Iterable[Lane],
        transports: Mapping[Side, Transport],
        reachable: Reachable,
        switched_off: Callable[[Side], bool],
        *,
        idle_s: float,
        timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._lanes = tuple(lanes)
        self._sides = transports
        self._reachable = reachable
        self._switched_off = switched_off
        self._idle_s = idle_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._sample = sample_jpeg()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[Lane] = set()
        self._again_at: dict[Lane, float] = {}

    async def run(self) -> None:
        while True:
            try:
                self.tick()
            except Exception:
                logger.exception("the sides could not be looked at")
            await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        self.look_at_flags()
        for lane in self._lanes:
            if lane.allowed and lane not in self._asking:
                self._probe_if_due(lane)

    def look_at_flags(self) -> None:
        """Which lanes callers can get to; a side without any rests."""
        for lane in self._lanes:
            if lane.allowed != (allowed := lane.side in self._reachable(lane.detector)):
                lane.allowed = allowed
        for side, transport in self._sides.items():
            self._let_rest(transport, [lane for lane in self._lanes if lane.side == side])

    def _let_rest(self, transport: Transport, lanes: Sequence[Lane]) -> None:
        """End the connections of a side that nobody is sent to, once after each time that it was asked."""
        asked_at = max((lane.asked_at for lane in lanes), default=-math.inf)
        if asked_at == -math.inf or any(lane.allowed for lane in lanes):
            return
        at_once = self._switched_off(lanes[0].side) or not any(lane.in_flight for lane in lanes)
        if at_once or self._clock() - asked_at > LET_END_S:
            for lane in lanes:
                lane.asked_at = -math.inf
            self._start(transport.rest())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _probe_if_due(self, lane: Lane) -> None:
        if lane.breaker.state != "closed":
            generation = lane.breaker.probe()
            if generation is not None:
                self._ask_alone(lane, lane.heal(self._question(lane), generation))
        elif self._is_due(lane):
            self._ask_alone(lane, self._listen(lane))

    def _is_due(self, lane: Lane) -> bool:
        now, again_at = self._clock(), self._again_at.get(lane)
        if again_at is not None:
            return now >= again_at
        return not lane.heard or now - lane.breaker.heard_at > self._idle_s

    async def _listen(self, lane: Lane) -> None:
        """Asked again soon until it answers, or until its breaker opens."""
        if await lane.probe(self._question(lane)):
            self._again_at.pop(lane, None)
        else:
            self._again_at[lane] = self._clock() + AGAIN_S

    def _question(self, lane: Lane) -> Ask:
        return Ask(lane.detector, self._sample, self._timeout_s, request_id="crossfade-probe", priority=1)

    def _ask_alone(self, lane: Lane, work: Coroutine[Any, Any, None]) -> None:
        """One probe of a lane at a time."""
        self._asking.add(lane)
        self._start(work).add_done_callback(lambda _: self._asking.discard(lane))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
