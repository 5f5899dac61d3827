"""Requests of drawn scenes at a given rate, whatever becomes of them: an open loop, which hides no queue.

Runs in a thread of its own, so that a row may wait for what it likes. Every request is kept with what it was answered,
and each answer is compared with what must be found in its own picture. Bounded in time and in requests under way.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit

import cv2

from ai.demo.planning import plan_scene
from ai.demo.scenes import render
from tests.callers import NO_ANSWER, Caller, Reply
from tests.chaos.engine import box_of
from tests.threads import running

SIZE = (640, 360)
SCENES = 16
FIRST_SEED = 31_000  # far from those that others draw
JPEG_QUALITY = 85
PATIENCE_S = 20.0  # of a caller: far beyond any deadline, so that a hang is seen as one
MAX_S = 900.0  # whatever a row forgets
MOST_UNDER_WAY = 2000
IDLE_S = 10.0  # the backend ends a connection that rests for 20 s
NEAR_PX = 0.2  # the answer's numbers are rounded


@dataclass(frozen=True)
class Scene:
    jpeg: bytes = field(repr=False)
    box: tuple[float, float, float, float]


@cache
def scenes() -> tuple[Scene, ...]:
    return tuple(_drawn(FIRST_SEED + number) for number in range(SCENES))


def _drawn(seed: int) -> Scene:
    image = render(plan_scene(seed, "heldout", *SIZE)).image
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Scene(data.tobytes(), box_of(data.tobytes()))


@dataclass(frozen=True)
class Asked:
    """One request: which scene it showed, when it was due, and what came back (unix time, as in the log)."""

    number: int
    scene: int
    due: float
    reply: Reply

    @property
    def came(self) -> bool:
        return self.reply.status != NO_ANSWER

    @property
    def right(self) -> bool:
        """It was served, with the box of its own picture and nothing else."""
        found = self.reply.document.get("detections", ())
        if self.reply.status != 200 or len(found) != 1:
            return False
        box = found[0]["bbox"]
        told = (box["x"], box["y"], box["width"], box["height"])
        return all(
            abs(one - other) <= NEAR_PX for one, other in zip(told, scenes()[self.scene].box, strict=True)
        )

    @property
    def request_id(self) -> str:
        return self.reply.headers.get("x-request-id", "")


class Load:
    """`per_s` may be changed while it runs; 0 is a pause."""

    def __init__(self, url: str, per_s: float, query: str = "", patience_s: float = PATIENCE_S) -> None:
        if urlsplit(url).hostname not in {"127.0.0.1", "localhost"}:
            raise ValueError(f"{url} is not on this machine")
        self.per_s = per_s
        self.longest_s = MAX_S
        self.asked: list[Asked] = []
        self.sent = 0
        self.skipped = 0  # too many were under way
        self._url = url
        self.query_of: Callable[[int], str] = lambda _: query  # by the request's number
        self._patience_s = patience_s
        self._idle: dict[int, list[tuple[float, Caller]]] = {number: [] for number in range(SCENES)}
        self._ending = threading.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        return self.sent - len(self.asked)

    def since(self, began: float) -> list[Asked]:
        """Those that were sent at or after this moment (unix time) and are answered."""
        return [one for one in list(self.asked) if one.reply.began >= began]

    def until(
        self, holds: Callable[[list[Asked]], bool], why: str, times: int = 20, patience_s: float = 60
    ) -> None:
        """Until the latest answers, of requests that were sent from now on, are as wanted."""
        began, ends_at = time.time(), time.monotonic() + patience_s
        while True:
            latest = self.since(began)[-times:]
            if len(latest) == times and holds(latest):
                return
            if time.monotonic() > ends_at:
                raise AssertionError(f"{why}: {[words_of(one) for one in latest]}")
            time.sleep(0.02)

    def end(self) -> None:
        self._ending.set()

    async def run(self) -> None:
        ends_at, due = time.monotonic() + self.longest_s, time.monotonic()
        while not self._ending.is_set() and time.monotonic() < ends_at:
            if self.per_s <= 0:
                await asyncio.sleep(0.01)
                due = time.monotonic()
                continue
            self._send(time.time())
            due += 1 / self.per_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if self._under_way:
            await asyncio.wait(self._under_way)
        for callers in self._idle.values():
            for _, caller in callers:
                caller.hang_up()

    def _send(self, due: float) -> None:
        if len(self._under_way) >= MOST_UNDER_WAY:
            self.skipped += 1
            return
        number, self.sent = self.sent, self.sent + 1
        task = asyncio.create_task(self._ask(number, due))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, number: int, due: float) -> None:
        scene = number % SCENES
        caller = self._caller(scene)
        caller.ask_as(self._path(number))
        reply = await caller.ask(self._patience_s)
        self._idle[scene].append((time.monotonic(), caller))
        self.asked.append(Asked(number, scene, due, reply))

    def also(self, asked: Sequence[Asked]) -> None:
        """What others asked the same backend meanwhile: it is counted and judged like the load's own."""
        self.sent += len(asked)
        self.asked.extend(asked)

    def _path(self, number: int) -> str:
        return f"/api/detect?{self.query_of(number)}"

    def _caller(self, scene: int) -> Caller:
        """The one that asked last. Whoever rested for long may find its connection closed: that is no failure."""
        idle = self._idle[scene]
        while idle and time.monotonic() - idle[0][0] > IDLE_S:
            idle.pop(0)[1].hang_up()
        while idle and idle[-1][1].was_left:
            idle.pop()[1].hang_up()
        return idle.pop()[1] if idle else Caller(self._url, image=scenes()[scene].jpeg)


def words_of(one: Asked) -> str:
    return f"{one.reply.status} {one.reply.side} {one.reply.fallback_reason}"


@contextmanager
def load_on(url: str, per_s: float = 50.0, query: str = "", patience_s: float = PATIENCE_S) -> Iterator[Load]:
    """Nobody is still waiting for an answer when the block has ended."""
    with carried(Load(url, per_s, query, patience_s), patience_s) as load:
        yield load


@contextmanager
def carried(load: Load, patience_s: float = PATIENCE_S) -> Iterator[Load]:
    scenes()
    with running(lambda: asyncio.run(load.run()), load.end, patience_s + 10):
        yield load
