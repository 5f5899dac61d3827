"""What a request holds in memory while its side is asked, what it leaves behind, and what the garbage collector does.

    python -m benchmarks.overhead.held

Counted by `sys.getallocatedblocks` over many requests that wait at once, less what the bare waiting takes; by file,
and in bytes, by tracemalloc in a second pass, whose figures the first one does not pay for.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from ai.core.sample import sample_jpeg
from backend.observe.events import told
from backend.observe.metrics import Metrics
from backend.services.deadline import Deadline
from backend.services.request import RequestInfo
from backend.sides import SIDES
from backend.transports.base import Ask, Found
from benchmarks.backend_apps import FOUND
from benchmarks.detect_cost import CAMERA, REQUEST_ID, composed, detecting
from benchmarks.processes import ROOT

AT_ONCE = 200  # fewer than there are places
COLLECTED = 5_000  # requests, one after the other
SHOWN = 10  # files

Made = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    blocks: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Held:
    """Of one request."""

    blocks: float  # while its side is asked, less the control's
    control_blocks: float  # of a task that only waits there
    left_blocks: float  # after it has ended, by the same count
    bytes: float
    places: tuple[Place, ...]  # the files whose lines asked for them, the control's own among them
    collections: float  # of the youngest generation, for 1,000 requests
    collector_us: float  # of CPU, for one request, all generations
    cyclic: float  # objects that only the collector could free


class Gate:
    """A side that answers when it is opened."""

    def __init__(self) -> None:
        self.waiting = 0
        self._open = asyncio.Event()

    async def detect(self, _ask: Ask) -> Found:
        self.waiting += 1
        await self._open.wait()
        return FOUND

    def open(self) -> None:
        self._open.set()

    async def rest(self) -> None:
        pass

    async def close(self) -> None:
        pass


async def held() -> Held:
    await _waiting(through_client, lambda: 0)  # warms up what is kept for good
    control, _ = await blocks_of(_bare)
    blocks, left = await blocks_of(through_client)
    places = await _places()
    collections, collector_us, cyclic = await _collected()
    total_bytes = sum(place.bytes for place in places)
    return Held(
        blocks - control, control, left, total_bytes, tuple(places[:SHOWN]), collections, collector_us, cyclic
    )


def through_client(gate: Gate) -> Made:
    client = composed(told(Metrics(None)), dict.fromkeys(SIDES, gate))
    picture, about = sample_jpeg(), RequestInfo(REQUEST_ID)
    return lambda: client.detect(picture, camera=CAMERA, deadline=Deadline.after(60.0), about=about)


def _bare(gate: Gate) -> Made:
    ask = Ask("yolo26", sample_jpeg(), 60.0)
    return lambda: gate.detect(ask)


async def blocks_of(made: Callable[[Gate], Made]) -> tuple[float, float]:
    """Held while they wait, and afterwards, of one."""
    before, during, after = await _waiting(made, sys.getallocatedblocks)
    return (during - before) / AT_ONCE, (after - before) / AT_ONCE


async def _waiting(made: Callable[[Gate], Made], look: Callable[[], int]) -> tuple[int, int, int]:
    gate = Gate()
    ask = made(gate)
    gc.collect()
    before = look()
    tasks = [asyncio.ensure_future(ask()) for _ in range(AT_ONCE)]
    while gate.waiting < AT_ONCE:
        await asyncio.sleep(0)
    during = look()
    gate.open()
    await asyncio.gather(*tasks)
    tasks.clear()
    await asyncio.sleep(0)
    gc.collect()
    return before, during, look()


async def _places() -> list[Place]:
    """The largest first."""
    gate = Gate()
    ask = through_client(gate)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        tasks = [asyncio.ensure_future(ask()) for _ in range(AT_ONCE)]
        while gate.waiting < AT_ONCE:
            await asyncio.sleep(0)
        grown = tracemalloc.take_snapshot().compare_to(before, "filename")
    finally:
        tracemalloc.stop()
    gate.open()
    await asyncio.gather(*tasks)
    sizes, counts = Counter[str](), Counter[str]()
    for one in grown:
        name = _file(one.traceback[0].filename)
        sizes[name] += one.size_diff
        counts[name] += one.count_diff
    return [
        Place(name, counts[name] / AT_ONCE, size / AT_ONCE) for name, size in sizes.most_common() if size > 0
    ]


def _file(path: str) -> str:
    """In the repository, or the end of its path."""
    here = Path(path)
    return str(here.relative_to(ROOT)) if here.is_relative_to(ROOT / "backend") else "/".join(here.parts[-2:])


async def _collected() -> tuple[float, float, float]:
    detect = detecting(composed(told(Metrics(None))))
    spent, began = [0.0], [0.0]

    def watch(phase: str, _info: dict[str, int]) -> None:
        now = time.process_time()
        if phase == "start":
            began[0] = now
        else:
            spent[0] += now - began[0]

    gc.collect()
    before = gc.get_stats()
    gc.callbacks.append(watch)
    try:
        for _ in range(COLLECTED):
            await detect()
    finally:
        gc.callbacks.remove(watch)
    after = gc.get_stats()
    runs = after[0]["collections"] - before[0]["collections"]
    cyclic = sum(now["collected"] - then["collected"] for now, then in zip(after, before, strict=True))
    return runs / COLLECTED * 1e3, spent[0] / COLLECTED * 1e6, cyclic / COLLECTED


def main() -> None:
    print(json.dumps(asdict(uvloop.run(held()))))


if __name__ == "__main__":
    main()
