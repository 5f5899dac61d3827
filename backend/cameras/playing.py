"""One camera that is played: each frame falls due, and is sent, or dropped because the one before is under way.

At most one request is under way and nothing waits behind it, so a slow backend costs frames and never memory, and what
is seen is never older than one answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from backend.cameras.answers import Answer, Failure
from backend.cameras.asking import Backend
from backend.cameras.backoff import Backoff
from backend.cameras.errors import Ended
from backend.cameras.figures import CameraFigures, Tally
from backend.cameras.opening import Camera
from backend.cameras.schedule import Schedule
from backend.footage import NoFootage

GRACE_S = 2.0  # for the request that is under way when we are asked to end
_BACK_OFF = ("away", "busy", "refused", "odd")  # one that is late has kept us long enough


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame and what became of it; `tracks` beside each detection, where somebody follows."""

    camera: str
    number: int
    outcome: Answer | Failure
    tracks: list[str | None] | None = None


@dataclass(frozen=True, slots=True)
class Noticed:
    """Of the camera itself: lost, back, over, a picture that cannot be read."""

    camera: str
    words: str


Hear = Callable[[Shown | Noticed], None]
Clock = Callable[[], float]


class Playing:
    def __init__(
        self, camera: Camera, backend: Backend, pool: Executor, hear: Hear, clock: Clock = time.monotonic
    ) -> None:
        self.camera, self._backend, self._pool = camera, backend, pool
        self._hear, self._clock = hear, clock
        self._backoff = Backoff()
        self._under_way: asyncio.Task[None] | None = None
        self._asked: asyncio.Task[Answer | Failure] | None = None  # the part of it that may be broken off
        self._over = asyncio.Event()
        self.tally = Tally(camera.name, camera.fps, tracks=0 if camera.tracker else None)

    @property
    def figures(self) -> CameraFigures:
        return self.tally.figures()

    def end(self) -> None:
        self._over.set()

    async def run(self, schedule: Schedule, most_frames: int | None) -> None:
        try:
            await self._play(schedule, most_frames)
        finally:
            await self._finish()

    async def _play(self, schedule: Schedule, most_frames: int | None) -> None:
        number = 0
        while most_frames is None or number < most_frames:
            await self._until(schedule.due_at(number))
            if self._over.is_set():
                break
            latest = max(number, schedule.latest_at(self._clock()))
            if most_frames is not None:
                latest = min(latest, most_frames - 1)
            for one in range(number, latest + 1):  # more than one where this process was held up
                self._falls_due(one, one == latest, one / self.camera.fps)
            number = latest + 1

    async def _until(self, due_at: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), max(0.0, due_at - self._clock()))

    def _falls_due(self, number: int, is_latest: bool, at_s: float) -> None:
        self.tally.due += 1
        if not is_latest or self._is_asking() or self._backoff.holds(self._clock()):
            self.tally.dropped += 1
            return
        self._under_way = asyncio.create_task(self._show(number, at_s))

    def _is_asking(self) -> bool:
        if self._under_way is None or not self._under_way.done():
            return self._under_way is not None
        self._under_way.result()  # what is wrong with us ends us
        return False

    async def _show(self, number: int, at_s: float) -> None:
        picture = await self._picture(number, at_s)
        if picture is None:
            return
        self.tally.sent += 1
        began = self._clock()
        self._asked = asyncio.create_task(self._backend.detect(picture, self.camera.name))
        try:
            outcome = await self._asked
        except asyncio.CancelledError:
            outcome = Failure("unfinished", self._clock() - began, "we ended before it was answered")
        self._take(number, at_s, outcome)

    async def _picture(self, number: int, at_s: float) -> bytes | None:
        loop = asyncio.get_running_loop()
        try:
            picture = await loop.run_in_executor(self._pool, self.camera.source.picture, number, at_s)
        except Ended as ended:
            self.tally.over_after(ended.frames)
            self._hear(Noticed(self.camera.name, str(ended)))
            self._over.set()
            return None
        except NoFootage as error:
            self._hear(Noticed(self.camera.name, str(error)))
            picture = None
        self.tally.no_picture += picture is None
        return picture

    def _take(self, number: int, at_s: float, outcome: Answer | Failure) -> None:
        self.tally.count(outcome)
        tracks = None
        if isinstance(outcome, Answer):
            self._backoff.answered()
            if self.camera.tracker is not None:
                tracks = self.camera.tracker.ids(outcome, at_s)
                self.tally.tracks = self.camera.tracker.begun
        elif outcome.kind in _BACK_OFF:
            self._backoff.turned_away(self._clock(), outcome.retry_after_s)
        self._hear(Shown(self.camera.name, number, outcome, tracks))

    async def _finish(self) -> None:
        """Nothing is left under way, and the source, which nobody reads any more, is closed."""
        if self._under_way is not None:
            await self._settled(self._under_way)
        await asyncio.get_running_loop().run_in_executor(self._pool, self.camera.source.close)
        if self._under_way is not None:
            self._under_way.result()

    async def _settled(self, under_way: asyncio.Task[None]) -> None:
        """It has the backend's time; from when we are asked to end, a moment."""
        ending = asyncio.create_task(self._over.wait())
        await asyncio.wait([under_way, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        while not under_way.done():
            await asyncio.wait([under_way], timeout=GRACE_S)
            if self._asked is not None:
                self._asked.cancel()
