"""Comparisons beside callers, with a real Triton and a real legacy service: nobody waits for them, whatever they do."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from backend.main import compose_client
from backend.observe.events import Attempted, Compared, Event, ShadowDropped
from backend.rollout.flags import Flags, View
from backend.rollout.quota import Traffic
from backend.rollout.state import RolloutState
from backend.services.detector_client import DetectorClient
from backend.services.twin import Twin
from backend.settings import Settings
from backend.shadow.pairs import Again, Offer, Saw
from backend.shadow.shadow import Shadow, ShadowLimits
from backend.sides import LEGACY, TRITON, Side
from backend.transports.base import Transport
from backend.transports.legacy import LegacyTransport
from backend.transports.triton import TritonTarget, TritonTransport
from tests import pictures
from tests.backends import NOBODY, quick_model
from tests.http_servers import sockets_to, until
from tests.services import Service
from tests.tritons import RunningTriton, running_triton

DETECTOR, MODEL = "yolo26", "yolo26_jpeg"
JPEG = pictures.jpeg()
LIMITS = ShadowLimits(queue=64, queue_bytes=256 * 1024 * 1024, concurrency=2, timeout_s=10.0, close_s=0.1)
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    quick_model(repository, MODEL)
    with running_triton(repository) as running:
        yield running


@contextmanager
def hung(triton: RunningTriton) -> Iterator[None]:
    """Its connections stay, and nobody answers."""
    os.kill(triton.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(triton.pid, signal.SIGCONT)


def asked(triton: RunningTriton) -> int:
    return int(triton.asked_of(MODEL))


class EqualityJudge:
    """Asks legacy once more about each; counts what it was shown."""

    def __init__(self) -> None:
        self.again: list[Saw | None] = []

    async def judge(self, offer: Offer, legacy: Saw, triton: Saw | None, again: Again) -> Compared:
        if triton is None:
            return Compared(offer.detector, "triton_failed")
        self.again.append(await again())
        same = legacy.detections == triton.detections
        delta_s = triton.took_s - legacy.took_s
        return Compared(offer.detector, "same" if same else "different", latency_delta_s=delta_s)


@dataclass
class House:
    client: DetectorClient
    flags: Flags
    shadow: Shadow
    judge: EqualityJudge
    events: list[Event]

    async def ask(self, times: int = 1, callers: int = 1, image: bytes = JPEG) -> list[float]:
        """How long each waited, in s."""
        left = iter(range(times))

        async def call() -> list[float]:
            return [await self._timed(image) for _ in left]

        return [s for waited in await asyncio.gather(*(call() for _ in range(callers))) for s in waited]

    def show(self, **state: Any) -> None:
        self.flags.show(View(state=RolloutState(version=self.flags.view.state.version + 1, **state)))

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def attempts(self) -> list[Side]:
        """Whom callers' own requests were sent to."""
        return [one.backend for one in self.told(Attempted) if not one.synthetic]

    @property
    def probed(self) -> set[Side]:
        return {one.backend for one in self.told(Attempted) if one.synthetic and one.detector == DETECTOR}

    @property
    def ends(self) -> Counter[str]:
        verdicts = Counter(event.verdict for event in self.told(Compared))
        return verdicts + Counter(f"dropped {event.reason}" for event in self.told(ShadowDropped))

    async def all_ended(self, count: int) -> None:
        await until(lambda: self.ends.total() >= count, f"not all {count} ended: {self.ends}")

    async def _timed(self, image: bytes) -> float:
        began = time.perf_counter()
        await self.client.detect(image, detector=DETECTOR)
        return time.perf_counter() - began


@asynccontextmanager
async def comparing(
    legacy: Service,
    triton_url: str,
    *,
    fraction: float = 0.0,
    limits: ShadowLimits = LIMITS,
    is_available: Callable[[str, Side], bool] = lambda *_: True,
) -> AsyncIterator[House]:
    """All that is asked is compared."""
    settings = Settings(
        _env_file=None, triton_enabled=True, yolo26_url=legacy.url, triton_url=triton_url, probe_idle_s=3600
    )
    sides: dict[Side, Transport] = {
        LEGACY: LegacyTransport(settings.legacy_urls),
        TRITON: TritonTransport(
            TritonTarget(settings.triton_url, settings.triton_http_url, "grpc"), settings.triton_models
        ),
    }
    flags = Flags(View(state=RolloutState(version=1, fraction=fraction, shadow=1.0)))
    events: list[Event] = []
    judge = EqualityJudge()
    shadow = Shadow(
        Twin(sides, limits.timeout_s), is_available, flags.may_compare, judge, events.append, limits
    )
    client, prober = compose_client(settings, sides, flags, Traffic(60.0).seen, events.append, shadow.offer)
    tasks = [asyncio.create_task(work) for work in (shadow.run(), prober.run())]
    try:
        await asyncio.sleep(0)
        yield House(client, flags, shadow, judge, events)
    finally:
        await shadow.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await prober.close()
        await client.drain()
        for side in sides.values():
            await side.close()


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
async def test_with_both_sides_well_everything_is_compared(legacy, triton, fraction):
    async with comparing(legacy, triton.grpc_url, fraction=fraction) as house:
        await house.ask()
        await house.all_ended(1)
        await until(lambda: house.probed == {LEGACY, TRITON}, "the sides were never heard")
        before = asked(triton)
        for number in range(40):
            await house.ask()
            await house.all_ended(number + 2)
        assert house.ends == {"different": 41}, "the two models never saw the same"
        assert asked(triton) - before == 40, "a caller or a twin, each picture once"
        assert len(house.attempts) == 41, "twins are nobody's attempts"
        assert len(house.judge.again) == 41
        assert all(saw is not None and saw.detections.items for saw in house.judge.again)
        assert all(event.latency_delta_s != 0 for event in house.told(Compared))


async def test_a_dead_triton_fails_every_comparison_and_no_breaker_hears_of_it(legacy):
    async with comparing(legacy, NOBODY) as house:
        await house.ask(20)
        await house.all_ended(20)
        assert house.ends == {"triton_failed": 20}
        breakers = {lane.backend: lane.breaker for lane in house.client.sides() if lane.detector == DETECTOR}
        assert breakers == {LEGACY: "closed", TRITON: "closed"}
        assert house.attempts == [LEGACY] * 20


async def test_a_triton_that_is_switched_off_sees_no_comparison_any_more(legacy, triton):
    async with comparing(legacy, triton.grpc_url) as house:
        await house.ask(50, callers=4)
        await until(lambda: house.ends["different"] > 0, "nothing was compared")
        house.show(fraction=0.0, shadow=1.0, enabled=False)
        await until(lambda: sockets_to(triton.grpc_url) == 0, "a connection is left")
        before, ended = asked(triton), house.ends
        await house.ask(50, callers=4)
        await house.all_ended(50)
        assert asked(triton) == before
        assert house.ends == ended
        assert house.shadow.held_bytes == 0


async def test_calls_to_a_hung_triton_end_with_the_switch(legacy, triton):
    async with comparing(legacy, triton.grpc_url) as house:
        await house.ask()
        await house.all_ended(1)
        with hung(triton):
            await house.ask(10)
            began = time.monotonic()
            house.show(fraction=0.0, shadow=0.0, enabled=False)
            await house.all_ended(11)
            assert time.monotonic() - began < LIMITS.timeout_s / 2, "they did not wait for their time-out"
            assert house.ends == {"different": 1, "dropped flag_changed": 10}
            await until(lambda: sockets_to(triton.grpc_url) == 0, "a connection is left")


LARGE = pictures.jpeg_with([(0xFE, bytes(65_000))] * 32)


async def test_large_pictures_that_wait_for_a_hung_triton_stay_within_their_bound(legacy, triton):
    times, bound = 40, 16 * MIB

    async def kept(queue_bytes: int) -> int:
        limits = ShadowLimits(1000, queue_bytes, concurrency=2, timeout_s=10.0, close_s=0.1)
        async with comparing(legacy, triton.grpc_url, limits=limits) as house:
            await house.ask()
            await house.all_ended(1)
            with hung(triton):
                before = tracemalloc.get_traced_memory()[0]
                for _ in range(times):
                    await house.ask(image=bytes(bytearray(LARGE)))  # each its own, as uploads are
                assert house.shadow.held_bytes <= queue_bytes
                return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        bounded, unbounded = await kept(bound), await kept(1024 * MIB)
    finally:
        tracemalloc.stop()
    assert unbounded > 4 * bound, "the control: they would all be kept"
    assert bounded < bound + 4 * len(LARGE)


# --- what callers wait ------------------------------------------------------------------------------------------

ROUNDS, REQUESTS, CALLERS = 6, 100, 2


async def test_callers_wait_no_longer_for_a_shadow_that_hangs(legacy, triton):
    """p99 within 5 % or 2 ms, at 100 %: phases with and without it take turns, and one whose callers wait for it is the
    control that must be seen. A machine that is busy with others gets three tries."""
    async with comparing(legacy, triton.grpc_url) as house:
        await house.ask(REQUESTS, CALLERS)
        await house.all_ended(REQUESTS)
        with hung(triton):
            for _ in range(3):
                before = house.ends
                p99_s = await phases(house)
                if is_as_good(p99_s["on"], p99_s["off"]) and not is_as_good(p99_s["waits"], p99_s["off"]):
                    break
            waiting = LIMITS.queue + LIMITS.concurrency
            ended = house.ends - before
            # A connection that fell silent is left, and the next never stands: what failed so made room for another.
            room = ROUNDS * waiting + ended["triton_failed"]
            assert ended.keys() <= {"dropped queue_full", "dropped flag_changed", "triton_failed"}
            assert ended.total() == ROUNDS * REQUESTS
            assert ended["dropped queue_full"] >= ROUNDS * REQUESTS - room
            assert ended["dropped flag_changed"] <= ROUNDS * waiting
    assert is_as_good(p99_s["on"], p99_s["off"]), p99_s
    assert not is_as_good(p99_s["waits"], p99_s["off"]), p99_s


async def phases(house: House) -> dict[str, float]:
    """The median of each kind's p99s, in s."""
    p99s_s: dict[str, list[float]] = {"off": [], "on": [], "waits": []}
    offer = house.client._offer
    for number in range(ROUNDS):
        for kind in ("off", "on") if number % 2 else ("on", "off"):
            p99s_s[kind].append(await p99_of_phase(house, kind, REQUESTS))
        if number % 2:
            house.client._offer = lambda _: time.sleep(0.01)
            p99s_s["waits"].append(await p99_of_phase(house, "on", REQUESTS // 2))
            house.client._offer = offer
    return {kind: statistics.median(values) for kind, values in p99s_s.items()}


async def p99_of_phase(house: House, kind: str, requests: int) -> float:
    """A camera's pin keeps Triton connected while nothing is compared."""
    house.show(fraction=0.0, shadow=1.0 if kind == "on" else 0.0, pins={"nobody": TRITON})
    p99_s = statistics.quantiles(await house.ask(requests, CALLERS), n=100)[98]
    house.show(fraction=0.0, shadow=0.0, pins={"nobody": TRITON})
    await until(lambda: house.shadow.held_bytes == 0, "it holds what it may not compare")
    return p99_s


def is_as_good(p99_s: float, control_s: float) -> bool:
    return p99_s <= max(control_s * 1.05, control_s + 0.002)
