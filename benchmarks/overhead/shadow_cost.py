"""What comparing 0, 10 and 100 % of the requests costs, over sides that do nothing: comparisons included, and without.

    env TRITON_ENABLED=true python -m benchmarks.overhead.shadow_cost --rounds 9 --calls 400

One backend's parts as `backend.main` puts them together, on a SQLite store; the share is changed between the windows,
which take turns. After some requests all comparisons are waited for, so that none is dropped for want of room.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop

from ai.core.detections import Thresholds
from ai.core.sample import sample_jpeg
from backend.main import compose_client
from backend.observe.events import Compared, Event, ShadowDropped, told
from backend.observe.metrics import Metrics
from backend.rollout.control import Rollout
from backend.services.detector_client import DetectorClient
from backend.services.twin import Twin
from backend.settings import Settings
from backend.shadow.judging import PairJudge
from backend.shadow.pairs import Offer
from backend.shadow.recorder import Recorder
from backend.shadow.shadow import Shadow, ShadowLimits
from backend.sides import Side
from benchmarks.backend_apps import sides
from benchmarks.detect_cost import DETECTOR
from benchmarks.report import Spread

SHARES = (0.0, 0.1, 1.0)
AT_ONCE = 20  # requests, before their comparisons are waited for: fewer than the queue holds
CAMERAS = 8


@dataclass(frozen=True, slots=True)
class ShadowRow:
    share: float
    cpu_us: Spread  # of this process for one request, all that is compared meanwhile included
    detect_us: Spread  # median time of a request, as its caller sees it: nothing is compared meanwhile
    compared: int
    dropped: int


@dataclass(slots=True)
class _Tally:
    """Tells when every comparison that was begun has ended."""

    offered: int = 0
    compared: int = 0
    dropped: int = 0

    def __call__(self, event: Event) -> None:
        self.compared += isinstance(event, Compared)
        self.dropped += isinstance(event, ShadowDropped)

    async def settled(self) -> None:
        while self.compared + self.dropped < self.offered:
            await asyncio.sleep(0.001)


@dataclass(slots=True)
class _Window:
    cpu_us: float
    detect_us: float


@dataclass(slots=True)
class Bench:
    client: DetectorClient
    rollout: Rollout
    tally: _Tally
    names: itertools.cycle[str] = field(
        default_factory=lambda: itertools.cycle(f"camera-{number}" for number in range(CAMERAS))
    )

    async def window(self, share: float, calls: int) -> _Window:
        await self.rollout.change({"shadow": share}, who="benchmark", reason="", version=None)
        picture, took_s = sample_jpeg(), []
        cpu_s = time.process_time()
        for _ in range(calls // AT_ONCE):
            for _ in range(AT_ONCE):
                started = time.perf_counter()
                await self.client.detect(picture, camera=next(self.names))
                took_s.append(time.perf_counter() - started)
            await self.tally.settled()
        cpu_s = time.process_time() - cpu_s
        return _Window(cpu_s / len(took_s) * 1e6, statistics.median(took_s) * 1e6)


@asynccontextmanager
async def benched(folder: Path) -> AsyncIterator[Bench]:
    settings = Settings(_env_file=None, crossfade_var=folder, triton_model=DETECTOR, triton_enabled=True)
    tally = _Tally()
    rollout = Rollout.opened(settings, told(), "benchmark", folder / ".env")
    await rollout.start()
    observe = told(Metrics(None), Recorder(rollout, settings, "benchmark"), tally)
    judge, transports = PairJudge.of(rollout, settings, Thresholds(0.5)), sides()

    def is_available(detector: str, side: Side) -> bool:
        return client.is_available(detector, side)

    limits = ShadowLimits(settings.shadow_queue, settings.shadow_queue_bytes, settings.shadow_concurrency,
                          settings.shadow_timeout_s)  # fmt: skip
    twin = Twin(transports, settings.shadow_timeout_s)
    shadow = Shadow(twin, is_available, rollout.flags.may_compare, judge, observe, limits)

    def offer(offer: Offer) -> None:
        tally.offered += 1
        shadow.offer(offer)

    client, _ = compose_client(settings, transports, rollout.flags, rollout.traffic.seen, observe, offer)
    working = asyncio.create_task(shadow.run())
    try:
        yield Bench(client, rollout, tally)
    finally:
        await shadow.close()
        working.cancel()
        judge.close()
        await rollout.stop()


async def costs(rounds: int, calls: int) -> list[ShadowRow]:
    seen: dict[float, list[_Window]] = {share: [] for share in SHARES}
    counted = {share: _Tally() for share in SHARES}
    with tempfile.TemporaryDirectory() as folder:
        async with benched(Path(folder)) as bench:
            for share in SHARES:
                await bench.window(share, AT_ONCE)
            for number in range(rounds):
                for share in SHARES if number % 2 == 0 else reversed(SHARES):
                    compared, dropped = bench.tally.compared, bench.tally.dropped
                    seen[share].append(await bench.window(share, calls))
                    counted[share].compared += bench.tally.compared - compared
                    counted[share].dropped += bench.tally.dropped - dropped
    return [_row(share, seen[share], counted[share]) for share in SHARES]


def _row(share: float, windows: Sequence[_Window], counted: _Tally) -> ShadowRow:
    cpu_us, detect_us = [one.cpu_us for one in windows], [one.detect_us for one in windows]
    return ShadowRow(share, Spread.of(cpu_us), Spread.of(detect_us), counted.compared, counted.dropped)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead.shadow_cost", description="JSON out."
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=400)
    asked = parser.parse_args(arguments)
    print(json.dumps([asdict(row) for row in uvloop.run(costs(asked.rounds, asked.calls))]))


if __name__ == "__main__":
    main()
