"""A few drawn cameras, by day, at dusk and in infrared, whose pictures go to a backend on loopback.

At a bounded rate and for a bounded time, by a few callers, so that a slow backend is asked less. Every answer is
counted, and whoever got none is named.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from urllib.parse import urlsplit

import cv2
import httpx

from ai.demo.planning import plan_scene
from ai.demo.scenes import render
from tests.threads import running

SIZE = (640, 360)
FRAMES = 15  # of each camera, sent in turn
JPEG_QUALITY = 90
FIRST_SEED = 20_000  # far from those that others draw
CALLERS = 2
TIMEOUT_S = 20.0
MAX_S = 1800.0  # whatever a test forgets
MAX_LOST = 50  # more of the same teaches nothing
CAMERAS = {"yard": "day", "drive": "day", "gate": "day", "street": "day", "porch": "dusk", "alley": "dusk",
           "barn": "night", "garden": "night"}  # fmt: skip


@dataclass(frozen=True)
class Frame:
    camera: str
    light: str
    labels: tuple[str, ...]
    jpeg: bytes = field(repr=False)


@cache
def frames() -> tuple[Frame, ...]:
    """Of all cameras in turn; drawn once, in some six seconds."""
    seeds = {light: _seeds(light) for light in set(CAMERAS.values())}
    cameras = [(name, light) for _ in range(FRAMES) for name, light in CAMERAS.items()]
    return tuple(_frame(name, light, next(seeds[light])) for name, light in cameras)


def _seeds(light: str) -> Iterator[int]:
    plans = (plan_scene(seed, "heldout", *SIZE) for seed in count(FIRST_SEED))
    return (plan.seed for plan in plans if plan.light == light and len(plan.actors) > 1)


def _frame(camera: str, light: str, seed: int) -> Frame:
    scene = render(plan_scene(seed, "heldout", *SIZE))
    _, data = cv2.imencode(".jpg", scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Frame(camera, light, tuple(actor.kind for actor in scene.plan.actors), data.tobytes())


@dataclass(frozen=True)
class Answer:
    camera: str
    side: str
    reason: str
    fallback_reason: str | None
    took_s: float  # by the backend's own clock


@dataclass
class Traffic:
    url: str
    per_s: float  # at most; may be changed while it runs
    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    sent: int = 0
    _next_at: float = 0.0
    _stopping: bool = False

    def stop(self) -> None:
        self._stopping = True

    @property
    def sides(self) -> Counter[str]:
        return Counter(answer.side for answer in self.answers)

    def times_s(self, side: str, since: int = 0) -> list[float]:
        """That this side took, without what it took over from the other; `since` so many answers."""
        own = [one for one in self.answers[since:] if one.side == side]
        return [one.took_s for one in own if one.fallback_reason is None]

    async def run(self) -> None:
        ends_at = time.monotonic() + MAX_S
        client = httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT_S, trust_env=False)
        async with client, asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._call(client, ends_at))

    async def _call(self, client: httpx.AsyncClient, ends_at: float) -> None:
        while not self._stopping and time.monotonic() < ends_at and len(self.lost) < MAX_LOST:
            await self._turn()
            frame = frames()[self.sent % len(frames())]
            self.sent += 1
            try:
                await self._ask(client, frame)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                self.lost.append(f"{frame.camera}: {type(error).__name__}: {error}")

    async def _turn(self) -> None:
        """Whoever comes late is not made up for: the rate is a bound, not a promise."""
        now = time.monotonic()
        self._next_at = max(self._next_at, now) + 1 / self.per_s
        await asyncio.sleep(self._next_at - 1 / self.per_s - now)

    async def _ask(self, client: httpx.AsyncClient, frame: Frame) -> None:
        answer = await client.post(
            "/api/detect",
            params={"camera": frame.camera},
            content=frame.jpeg,
            headers={"Content-Type": "image/jpeg"},
        )
        if answer.status_code != 200:
            self.lost.append(f"{frame.camera}: {answer.status_code} {answer.text[:200]}")
            return
        told = answer.json()
        by = told["served_by"]
        took_s = told["timing_ms"]["total"] / 1000
        self.answers.append(Answer(frame.camera, by["backend"], by["reason"], by["fallback_reason"], took_s))


@contextmanager
def watched(url: str, per_s: float) -> Iterator[Traffic]:
    """Cameras that send as long as the block lasts; nobody is still waiting when it ends."""
    if urlsplit(url).hostname not in {"127.0.0.1", "localhost"}:
        raise ValueError(f"{url} is not on this machine")
    frames()
    traffic = Traffic(url, per_s)
    with running(lambda: asyncio.run(traffic.run()), traffic.stop, TIMEOUT_S + 5):
        yield traffic
