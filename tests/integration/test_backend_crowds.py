"""Many callers, or impatient ones, while a side fails: whoever hangs up hides nothing and takes nothing away.

Triton is real, its model a script. Legacy is the real service with a model that waits instead of working: its capacity
is then known and leaves the processors to those who ask.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backends import Backend, quick_model, running_backend
from tests.callers import PATIENCE_S, Caller, Reply, ask, ask_often, counted, load
from tests.http_servers import drips, raw_server, says
from tests.legacy_process import legacy_process
from tests.liars import http
from tests.tritons import RunningTriton, running_triton

TO_TRITON = {"TRITON_ENABLED": "true", "TRITON_TRAFFIC_FRACTION": "1"}


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    quick_model(repository, "yolo26_jpeg")
    with running_triton(repository) as server:
        yield server
        server.kill()


# --- callers with little patience, as Frigate's -----------------------------------------------------------

FRIGATES_PATIENCE_S = 0.1
MOST_LOST = 5


async def test_callers_of_little_patience_cannot_hide_a_hung_triton(triton: RunningTriton) -> None:
    with (
        legacy_process() as legacy,
        running_backend(legacy=legacy, triton=triton, **TO_TRITON) as backend,
    ):
        async with load(backend.url, patience_s=FRIGATES_PATIENCE_S) as callers:
            await callers.until_served_by("triton")
            fell_at = time.time()
            with standing_still(triton.pid):
                await callers.until_all("200 legacy breaker_open")
        opened_at = next(one["at"] for one in backend.lines("breaker") if one["to"] == "open")
    lost = {name: lost_between(replies, fell_at) for name, replies in callers.by_caller.items()}
    print(f"opened after {opened_at - fell_at:.2f} s; lost by caller: {sorted(lost.values())}")
    assert opened_at - fell_at < 1.0
    assert len(lost) == 8
    assert max(lost.values()) <= MOST_LOST


def lost_between(replies: list[Reply], fell_at: float) -> int:
    """Answers that were lost since then, until legacy gave one."""
    since = [reply for reply in replies if reply.ended >= fell_at and reply.side != "triton"]
    return next(number for number, reply in enumerate(since) if reply.side == "legacy")


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# --- callers who hang up, by the thousand -----------------------------------------------------------------

STORM, AT_ONCE = 3_000, 200
MORE_CONNECTIONS = 4  # to legacy: as many as ask at once
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: hang up without a goodbye


async def test_after_a_storm_of_callers_who_hung_up_everything_is_back(triton: RunningTriton) -> None:
    """Half of them are Triton's and half legacy's, and both sides are slower than the storm."""
    with (
        legacy_process(0.01) as legacy,
        running_backend(
            legacy=legacy, triton=triton, TRITON_ENABLED="true", TRITON_TRAFFIC_FRACTION="0.5"
        ) as backend,
    ):
        await ask_often(backend.url, 100)
        before = descriptors(backend)
        request = Caller(backend.url).request
        for _ in range(STORM // AT_ONCE):
            await asyncio.to_thread(hang_up_in_the_middle, backend.port, request)
        backend.until(lambda: nothing_under_way(backend), "what callers left never ended")
        replies = await ask_often(backend.url, 100)
        gone = sum(
            value for line, value in backend.metrics().items()
            if line.startswith("detector_requests_total{") and 'outcome="gone"' in line
        )  # fmt: skip
        print(f"{gone:.0f} of {STORM} hung up while they waited; {counted(replies)}")
        assert gone > STORM / 10  # else it was no storm
        assert {reply.status for reply in replies} == {200}, counted(replies)
        await until_descriptors(backend, before + MORE_CONNECTIONS)


def hang_up_in_the_middle(port: int, request: bytes) -> None:
    """Each sends a whole request and goes, in one of two ways, before there is an answer or after it."""
    lines = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(AT_ONCE)]
    for line in lines:
        line.sendall(request)
    for number, line in enumerate(lines):
        if number % 2:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        line.close()


def nothing_under_way(backend: Backend) -> bool:
    metrics = backend.metrics()
    return not any(value for line, value in metrics.items() if line.startswith("detector_inflight"))


def descriptors(backend: Backend) -> int:
    return len(list(Path(f"/proc/{backend.pid}/fd").iterdir()))


async def until_descriptors(backend: Backend, most: int) -> None:
    """Connections that nobody needs any more are closed by the next request after they expired."""
    ends_at = time.monotonic() + PATIENCE_S
    while (held := descriptors(backend)) > most:
        assert time.monotonic() < ends_at, f"{held} descriptors are held, {most} were before"
        await asyncio.sleep(0.5)
        await ask_often(backend.url, 4, callers=1)


# --- more than legacy can carry ---------------------------------------------------------------------------

LEGACY_S = 0.02  # for one picture
CAMERAS = 6
OVERLOAD = 2.5
OVERLOAD_FOR_S = 6.0


async def test_with_triton_dead_and_too_much_asked_legacy_is_used_to_the_full_and_every_camera_served(
    triton: RunningTriton,
) -> None:
    with (
        legacy_process(LEGACY_S) as legacy,
        running_backend(legacy=legacy, triton=triton, **TO_TRITON) as backend,
    ):
        capacity_per_s = await closed_loop(legacy.url, 2.0)
        triton.kill()
        try:
            replies = await open_loop(backend.url, OVERLOAD * capacity_per_s)
        finally:
            triton.restart()
        capacity_per_s = min(
            capacity_per_s, await closed_loop(legacy.url, 2.0)
        )  # the machine is not always as quick
    good = [reply for reply in replies if reply.status == 200]
    goodput_per_s = len(good) / (max(reply.ended for reply in good) - min(reply.began for reply in good))
    share = goodput_per_s / capacity_per_s
    by_camera = Counter(reply.camera for reply in good)
    print(f"legacy carries {capacity_per_s:.1f}/s, goodput {goodput_per_s:.1f}/s: {share:.0%}; {by_camera}")
    assert share >= 0.95
    assert {reply.status for reply in replies} == {200, 503}, counted(replies)
    assert len(by_camera) == CAMERAS
    assert min(by_camera.values()) >= len(good) / CAMERAS / 2


async def closed_loop(url: str, for_s: float, callers: int = 4) -> float:
    """Answers per second of a legacy service that always has something to do."""
    async with load(url, callers, pause_s=0, path="/detect") as load_of_it:
        await asyncio.sleep(0.5)
        begun, began = len(load_of_it.replies), time.monotonic()
        await asyncio.sleep(for_s)
        return (len(load_of_it.replies) - begun) / (time.monotonic() - began)


async def open_loop(url: str, per_s: float) -> list[Reply]:
    """Half of what is asked comes from one camera."""
    started, asking = time.monotonic(), []
    for number in range(int(per_s * OVERLOAD_FOR_S)):
        await asyncio.sleep(max(0.0, started + number / per_s - time.monotonic()))
        camera = 0 if number % 2 else 1 + number // 2 % (CAMERAS - 1)
        asking.append(asyncio.create_task(ask(url, camera=f"cam-{camera}")))
    return await asyncio.gather(*asking)


# --- a server that never ends its answer ------------------------------------------------------------------

GOOD = json.dumps({"detections": [], "inference_time_ms": 1, "image_width": 48, "image_height": 32}).encode()


async def test_a_legacy_service_that_drips_its_answer_harms_nobody() -> None:
    async with raw_server(drips(http(GOOD))) as legacy:
        with running_backend(legacy=legacy.url, ready=False, DETECT_DEADLINE_S="1") as backend:
            replies = await asyncio.gather(*(ask(backend.url) for _ in range(20)))
            assert {reply.status for reply in replies} <= {503, 504}, counted(replies)
            assert max(reply.took_s for reply in replies) < 3.0
            legacy.behave = says(http(GOOD, Connection="keep-alive"))
            async with load(backend.url, callers=2) as callers:
                await callers.until_served_by("legacy")
