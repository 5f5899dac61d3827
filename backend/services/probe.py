"""Asks sides with a picture of ours, so that no caller pays for finding out: an open breaker is tried, and a side that
nobody asked lately is heard. A side that no decision can lead to is left alone, connections and all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from ai.core.sample import sample_jpeg
from backend.services.lanes import Lane
from backend.sides import Side
from backend.transports.base import Ask, Transport

logger = logging.getLogger(__name__)

TICK_S = 0.1
AGAIN_S = 1.0  # after a probe of a closed lane that failed
LET_END_S = 5.0  # for attempts under way when a side is no longer anybody's choice, but is not switched off

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
        self._sides = {side: _Rest(transport) for side, transport in transports.items()}
        self._reachable = reachable
        self._switched_off = switched_off
        self._idle_s = idle_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._sample = sample_jpeg()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[Lane] = set()
        self._not_before: dict[Lane, float] = {}

    async def run(self) -> None:
        while True:
            self.tick()
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
        for side, rest in self._sides.items():
            lanes = [lane for lane in self._lanes if lane.side == side]
            if any(lane.allowed for lane in lanes):
                rest.is_wanted()
            elif rest.is_due(
                self._clock(), self._switched_off(side) or not any(lane.in_flight for lane in lanes)
            ):
                self._start(rest.begin())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _probe_if_due(self, lane: Lane) -> None:
        if lane.breaker.state != "closed":
            generation = lane.breaker.probe()
            if generation is not None:
                self._ask_alone(lane, lane.heal(self._question(lane), generation))
        elif self._is_idle(lane):
            self._ask_alone(lane, self._listen(lane))

    def _is_idle(self, lane: Lane) -> bool:
        now = self._clock()
        return now >= self._not_before.get(lane, now) and (
            not lane.heard or now - lane.breaker.heard_at > self._idle_s
        )

    async def _listen(self, lane: Lane) -> None:
        if not await lane.probe(self._question(lane)):
            self._not_before[lane] = self._clock() + AGAIN_S

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


class _Rest:
    """Puts a transport to rest once, when nobody can want it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._resting = False
        self._unwanted_since: float | None = None

    def is_wanted(self) -> None:
        self._resting, self._unwanted_since = False, None

    def is_due(self, now: float, at_once: bool) -> bool:
        if self._unwanted_since is None:
            self._unwanted_since = now
        return not self._resting and (at_once or now - self._unwanted_since > LET_END_S)

    async def begin(self) -> None:
        self._resting = True
        await self._transport.rest()
