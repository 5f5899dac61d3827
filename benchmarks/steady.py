"""Cameras as a load: each sends a frame whenever one is due, one at a time, and drops those that fall due meanwhile.

    python -m benchmarks.steady http://127.0.0.1:8080/api/detect --cameras 8 --fps 5 --seconds 6 a.jpg b.jpg

What `crossfade cameras` does, at as little CPU as Python can do it: on two cores the generator must not be the load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop

from benchmarks.loadgen import CONTENT_TYPE, percentile
from benchmarks.options import number_between, whole_number_to
from benchmarks.wire import Address, Answer, Connection, NoAnswerError

TIMEOUT_S = 5.0
MAX_CAMERAS = 2048


@dataclass(frozen=True, slots=True)
class Watched:
    """One window, of all cameras together. `due` = `answered` + `dropped` + `failed`."""

    cameras: int
    fps: float
    due: int
    answered: int
    dropped: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def lost_share(self) -> float:
        return (self.dropped + self.failed) / max(1, self.due)


@dataclass(slots=True)
class _Counted:
    due: int = 0
    dropped: int = 0
    failed: int = 0
    latencies_ms: list[float] = field(default_factory=list)


def watch(url: str, bodies: Sequence[bytes], cameras: int, fps: float, seconds: float) -> Watched:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_watch(url, bodies, cameras, fps, seconds))


async def _watch(url: str, bodies: Sequence[bytes], cameras: int, fps: float, seconds: float) -> Watched:
    address = Address.of(url)
    requests = [address.request(body, CONTENT_TYPE) for body in bodies]
    counted = _Counted()
    starts_at = time.monotonic() + 0.1
    async with asyncio.TaskGroup() as group:
        for number in range(
            cameras
        ):  # spread over one interval, as cameras are that know nothing of each other
            camera = _Camera(address, requests[number:] + requests[:number], counted)
            group.create_task(camera.run(starts_at + number / cameras / fps, 1 / fps, round(fps * seconds)))
    ordered = sorted(counted.latencies_ms)
    return Watched(
        cameras, fps, counted.due, len(ordered), counted.dropped, counted.failed,
        percentile(ordered, 0.5), percentile(ordered, 0.95),
    )  # fmt: skip


class _Camera:
    def __init__(self, address: Address, requests: Sequence[bytes], counted: _Counted) -> None:
        self._address = address
        self._requests = requests
        self._counted = counted
        self._connection: Connection | None = None

    async def run(self, first_at: float, interval_s: float, frames: int) -> None:
        under_way: asyncio.Task[None] | None = None
        for number in range(frames):
            await asyncio.sleep(max(0.0, first_at + number * interval_s - time.monotonic()))
            self._counted.due += 1
            if under_way is not None and not under_way.done():
                self._counted.dropped += 1
                continue
            under_way = asyncio.create_task(self._send(self._requests[number % len(self._requests)]))
        if under_way is not None:
            await under_way

    async def _send(self, request: bytes) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await Connection.open(self._address, TIMEOUT_S)
            self._count(await self._connection.ask(request, TIMEOUT_S))
        except NoAnswerError:
            self._counted.failed += 1

    def _count(self, answer: Answer) -> None:
        if answer.status == 200:
            self._counted.latencies_ms.append((answer.ended_ns - answer.started_ns) / 1e6)
        else:
            self._counted.failed += 1


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.steady", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    parser.add_argument("url")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--cameras", type=whole_number_to(MAX_CAMERAS), default=1)
    parser.add_argument("--fps", type=number_between(0.1, 60), default=5.0)
    parser.add_argument("--seconds", type=number_between(0.2, 120), default=6.0)
    asked = parser.parse_args(words)
    bodies = [path.read_bytes() for path in asked.pictures]
    print(json.dumps(asdict(watch(asked.url, bodies, asked.cameras, asked.fps, asked.seconds))))


if __name__ == "__main__":
    main()
