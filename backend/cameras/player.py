"""Plays cameras against a backend.

async with HttpBackend(BackendApi.of(settings)) as backend:
    figures = await play(drawn_cameras(4, fps=5), backend, seconds=10)
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backend.cameras.asking import Backend
from backend.cameras.figures import CameraFigures
from backend.cameras.opening import Camera
from backend.cameras.playing import Clock, Hear, Playing
from backend.cameras.schedule import Schedule


def nobody(_: object) -> None:
    """Hears and watches nothing: for those who want the figures only."""


async def play(
    cameras: Sequence[Camera],
    backend: Backend,
    seconds: float | None = None,
    frames: int | None = None,
    *,
    hear: Hear = nobody,
    stop: asyncio.Event | None = None,
    watch: Callable[[Sequence[Playing]], None] = nobody,
    clock: Clock = time.monotonic,
) -> list[CameraFigures]:
    """Until each camera has had `frames`, or `seconds` of them, or is over, or `stop` is set; else without end.

    `hear` is told of every answer, `watch` is handed what is played, to look at while it is. Sources are closed.
    """
    pool = ThreadPoolExecutor(max(1, len(cameras)), thread_name_prefix="camera")
    playing = [Playing(camera, backend, pool, hear, clock) for camera in cameras]
    watch(playing)
    ending = asyncio.create_task(_end_all(playing, stop)) if stop is not None else None
    try:
        await asyncio.get_running_loop().run_in_executor(pool, _prepare, cameras, stop)
        now = clock()
        async with asyncio.TaskGroup() as group:
            for place, one in enumerate(playing):
                schedule = Schedule.shifted(now, one.camera.fps, place, len(playing))
                group.create_task(one.run(schedule, _most(one.camera, seconds, frames)))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if ending is not None:
            ending.cancel()
    return [one.figures for one in playing]


def _prepare(cameras: Sequence[Camera], stop: asyncio.Event | None) -> None:
    """One after the other in one thread: to paint in many takes as long, and some tens of megabytes in each."""
    for camera in cameras:
        if stop is not None and stop.is_set():
            return
        camera.source.prepare()


def _most(camera: Camera, seconds: float | None, frames: int | None) -> int | None:
    limits = [frames] if frames is not None else []
    if seconds is not None:
        limits.append(math.ceil(seconds * camera.fps - 1e-6))
    return min(limits, default=None)


async def _end_all(playing: Sequence[Playing], stop: asyncio.Event) -> None:
    await stop.wait()
    for one in playing:
        one.end()
