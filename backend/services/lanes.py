"""One side of one detector, with all that stands between it and a caller: breaker, places, pace."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ai.core.errors import BackendError
from backend.observe.events import Attempted, BreakerState, InFlight, Observer, Shed
from backend.services.admission import Admission
from backend.services.attempt import LATE, OK, Attempt
from backend.services.breaker import Breaker
from backend.services.pace import Pace
from backend.services.room import Room
from backend.services.typical import Typical
from backend.sides import Side
from backend.transports.base import Ask, Found, Transport

Barrier = Literal["breaker_open", "full", "share", "pace"]
NO_CAMERA = ""
START_S = 60.0  # for a side to be heard the first time, before the probes call it dead
LEAST_PLACES = 2  # a guess keeps no side from being asked at all
USED_TIME = 0.8  # of what is left to a caller: the pace is a guess


@dataclass(frozen=True, slots=True)
class LaneStatus:
    detector: str
    backend: Side
    allowed: bool  # the flags let pictures of callers reach it at all
    breaker: BreakerState
    heard: bool  # it has answered at least once since it is allowed: a caller or a probe
    in_flight: int
    for_callers: bool = True  # it can be why a caller is answered; False: it is only compared with


@dataclass(slots=True)
class Crowd:
    """How many attempts are under way on one side, of all detectors."""

    side: Side
    observe: Observer
    count: int = 0

    def add(self, change: int) -> None:
        self.count += change
        self.observe(InFlight(self.side, self.count))


class Lane:
    def __init__(
        self,
        detector: str,
        side: Side,
        transport: Transport,
        *,
        breaker: Breaker,
        admission: Admission,
        pace: Pace,
        typical: Typical,
        room: Room,
        longest_s: float,
        crowd: Crowd,
        observe: Observer,
        clock: Callable[[], float],
    ) -> None:
        self.detector = detector
        self.side: Side = side
        self.breaker = breaker
        self.pace = pace
        self.heard = False
        self.asked_at = -math.inf  # since its side was last put to rest
        self._allowed = False
        self._allowed_at = -math.inf
        self._transport = transport
        self._admission = admission
        self._typical = typical
        self._room = room
        self._longest_s = longest_s
        self._crowd = crowd
        self._observe = observe
        self._answered_at = -math.inf
        self._clock = clock
        self._under_way: set[asyncio.Task[Found]] = set()

    @property
    def allowed(self) -> bool:
        return self._allowed

    @allowed.setter
    def allowed(self, allowed: bool) -> None:
        self.heard = self.heard and allowed
        self._allowed = allowed
        self._allowed_at = self._clock()

    @property
    def is_starting(self) -> bool:
        """It was not heard yet, and may be loading its model."""
        return not self.heard and self._clock() - self._allowed_at < START_S

    @property
    def status(self) -> LaneStatus:
        return LaneStatus(
            self.detector, self.side, self.allowed, self.breaker.state, self.heard, self.in_flight
        )

    @property
    def in_flight(self) -> int:
        return self._admission.count

    @property
    def can_serve(self) -> bool:
        return self.allowed and self.heard and self.breaker.state == "closed"

    def barrier(self, camera: str | None, left_s: float, *, fallen_too: bool = False) -> Barrier | None:
        """Why this lane is not even asked. `fallen_too`: an open breaker is no reason, a lack of places is."""
        if self.breaker.state != "closed" and not fallen_too:
            return "breaker_open"
        places = self._places(left_s)
        refusal = self._admission.refusal(camera or NO_CAMERA, places)
        if refusal is None:
            return None
        barrier: Literal["full", "share", "pace"] = (
            "pace" if refusal == "full" and self.in_flight < self._admission.limit else refusal
        )
        self._observe(Shed(self.side, barrier))
        return barrier

    def _places(self, left_s: float) -> int | None:
        """As many as are answered in time; None where nobody knows."""
        capacity_per_s = self.pace.capacity_per_s
        if capacity_per_s is None:
            return None
        return max(LEAST_PLACES, int(capacity_per_s * left_s * USED_TIME), self._room.places(left_s))

    async def ask(self, ask: Ask, camera: str | None) -> Found:
        """The answer, waited for no longer than `ask.timeout_s`; raises BackendError. There must be no barrier."""
        return await self._attempt(ask, camera or NO_CAMERA, self.breaker.admit(), self._least_s)

    @property
    def _least_s(self) -> float:
        """What an attempt gets, however impatient its caller."""
        return min(self._typical.bound_s, self._longest_s)

    async def probe(self, ask: Ask) -> bool:
        """Ask a question of ours, since nobody else asked lately; it counts as any other, once the side has started."""
        try:
            await self._attempt(ask, NO_CAMERA, self.breaker.admit(), ask.timeout_s, synthetic=True)
        except BackendError:
            return False
        return True

    async def heal(self, ask: Ask, generation: int) -> None:
        """Ask a question of ours, to learn whether an open breaker may close."""
        succeeded: bool | None = None
        try:
            await self._attempt(ask, NO_CAMERA, None, ask.timeout_s, synthetic=True)
            succeeded = True
        except BackendError as error:
            cut_off = not self.allowed  # by us: the flags lead nobody here any more
            succeeded = False if error.counts_against_backend and not cut_off else None
        finally:
            self.breaker.probe_ended(generation, succeeded)

    async def drain(self) -> None:
        """Cancel what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _attempt(
        self, ask: Ask, camera: str, generation: int | None, least_s: float, *, synthetic: bool = False
    ) -> Found:
        """`generation` is the breaker's; without one the attempt does not count there."""
        beside = self.in_flight
        self._admission.enter(camera)
        self._crowd.add(1)
        self.pace.started()

        self.asked_at = started = self._clock()

        def ended(code: str, counts: bool, duration_s: float) -> None:
            busy = code == LATE and self._answered_at > started
            if code == OK or (
                counts and self._is_to_blame(synthetic) and not (busy and self._is_usual(duration_s))
            ):
                self._count(generation, code == OK, in_a_row=not busy)
            self._left(camera, code == OK, duration_s, beside)
            self._observe(Attempted(self.detector, self.side, code, duration_s, synthetic))

        return await Attempt(self._transport, ask, least_s, ended).answer(self._keep)

    def _is_to_blame(self, synthetic: bool) -> bool:
        """Not for what it was cut off from, and not while it may be starting, if nobody but a probe noticed."""
        return self.allowed and not (synthetic and self.is_starting)

    def _is_usual(self, duration_s: float) -> bool:
        """Others wait about as long for their answers: that is load, and no sign of death."""
        return duration_s <= self._typical.bound_s

    def _count(self, generation: int | None, succeeded: bool, in_a_row: bool) -> None:
        if generation is not None:
            self.breaker.ended(generation, succeeded, in_a_row)

    def _left(self, camera: str, answered: bool, duration_s: float, beside: int) -> None:
        self._admission.leave(camera)
        self._crowd.add(-1)
        self.pace.ended(answered)
        if answered:
            self.heard = True
            self._answered_at = self._clock()
            self._typical.succeeded(duration_s)
            self._room.answered(duration_s, beside)

    def _keep(self, task: asyncio.Task[Found]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Found]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains of one whose caller is gone


Lanes = Mapping[tuple[str, Side], Lane]
"""By detector and side."""
