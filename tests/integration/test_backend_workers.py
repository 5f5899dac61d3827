"""Two workers of one backend: what they count adds up, and one that is killed is replaced and missed by nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psutil
import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from backend.standstill import PATIENCE_S
from tests.backends import Backend, running_backend
from tests.callers import Reply, ask, ask_anew, ask_often, counted
from tests.services import Service

WORKERS = 2
IN_FLIGHT = 'detector_inflight{backend="legacy"}'
SERVED = 'detector_requests_total{backend="legacy",detector="yolo26",outcome="ok"}'
COUNTED = 'detector_request_duration_seconds_count{backend="legacy",detector="yolo26"}'
PROMISE_S = 1.0
LIFE_S = 3.0  # of a worker's last heartbeat
SUPERVISOR_LOOKS_S = 0.5  # uvicorn's, between two looks


@pytest.fixture(scope="module")
def backend(legacy: Service) -> Iterator[Backend]:
    """Everything to legacy; nobody is at Triton's address, and nobody is asked there."""
    with running_backend(
        legacy=legacy, workers=WORKERS, DETECT_DEADLINE_S="20", TRITON_ENABLED="true"
    ) as backend:
        backend.until(lambda: len(beating(backend)) == WORKERS, "there never were two workers")
        yield backend


async def test_what_both_count_is_what_was_asked(backend: Backend) -> None:
    before, each_before = backend.metrics(), served_by_each(backend)
    replies = await ask_anew(backend.url, 200)
    after, each = backend.metrics(), served_by_each(backend)
    assert {reply.status for reply in replies} == {200}, counted(replies)
    assert after[SERVED] - before[SERVED] == len(replies)
    assert after[COUNTED] - before.get(COUNTED, 0) == len(replies)
    assert after[IN_FLIGHT] == 0
    assert len(each) == WORKERS
    assert all(served > each_before[pid] for pid, served in each.items())  # else one of them did it all


def served_by_each(backend: Backend) -> dict[int, float]:
    """By worker, from the file that it counts in."""
    files = {
        int(file.stem.rpartition("_")[2]): file for file in backend.var.glob("run/metrics-*/counter_*.db")
    }
    return {
        pid: sum(
            sample.value for metric in MultiProcessCollector.merge([str(file)]) for sample in metric.samples
            if sample.name == "detector_requests_total" and sample.labels["outcome"] == "ok"
        )
        for pid, file in files.items()
    }  # fmt: skip


async def test_a_killed_worker_is_replaced_and_takes_its_attempts_out_of_the_count(
    backend: Backend, legacy: Service
) -> None:
    victim = min(backend.workers)
    async with hanging(backend, legacy) as waiting:
        lost = connections_of(victim, backend.port)
        kept = len(waiting) - lost
        os.kill(victim, signal.SIGKILL)
        await until_metric(backend, IN_FLIGHT, kept)
        served = backend.metric(SERVED)
    replies = await asyncio.gather(*waiting)
    assert counted(replies) == {"200 legacy None": kept, "0 None None": lost}
    assert backend.metric(SERVED) == served + kept  # and what the dead one had counted stays
    backend.until(lambda: len(set(backend.workers) - {victim}) == WORKERS, "nobody came in its place")
    assert {reply.status for reply in await ask_often(backend.url, 40)} == {200}
    assert backend.metric(IN_FLIGHT) == 0


async def test_after_a_worker_died_the_flags_agree_and_a_rollback_is_confirmed_once_it_is_given_up(
    backend: Backend,
) -> None:
    backend.until(lambda: set(beating(backend)) == set(backend.workers), "somebody dead is alive")
    victim = min(backend.workers)
    os.kill(victim, signal.SIGKILL)
    killed_at = time.monotonic()
    backend.set(fraction=0.5)
    waiting_for = []
    while (answer := await asyncio.to_thread(backend.rollback)).status_code == 202:
        waiting_for += answer.json()["pending"]
        assert time.monotonic() - killed_at < LIFE_S + 10 * PROMISE_S
    assert answer.status_code == 200
    assert answer.json()["pending"] == []
    assert {pid_of(name) for name in waiting_for} == {victim}
    backend.until(
        lambda: victim not in beating(backend) and len(beating(backend)) == WORKERS, "no new one beats"
    )
    assert set(beating(backend).values()) == {answer.json()["version"]}
    replies = await ask_anew(backend.url, 40)
    assert {reply.status for reply in replies} == {200}, counted(replies)
    assert {reply.flag_version for reply in replies} == {answer.json()["version"]}


async def test_a_worker_that_dies_while_its_supervisor_listens_to_it_is_replaced_as_soon_as_any(
    backend: Backend,
) -> None:
    """One that is stopped leaves the supervisor's question unanswered; killed then, it never will answer."""
    took_s = []
    for stopped_s in (0.0, 2 * SUPERVISOR_LOOKS_S):
        victim = min(backend.workers)
        if stopped_s:
            os.kill(victim, signal.SIGSTOP)
            await asyncio.sleep(stopped_s)
        os.kill(victim, signal.SIGKILL)
        killed_at = time.monotonic()
        backend.until(lambda gone=victim: len(set(backend.workers) - {gone}) == WORKERS, "nobody came")
        took_s.append(time.monotonic() - killed_at)
        backend.until(lambda: set(beating(backend)) == set(backend.workers), "the new one does not serve")
    plainly_s, asked_s = took_s
    assert asked_s < plainly_s + PATIENCE_S / 2


def beating(backend: Backend) -> dict[int, int]:
    """The version that each live worker has confirmed."""
    workers = backend.get("/api/rollout").json()["workers"]
    return {pid_of(beat["worker"]): beat["version"] for beat in workers}


def pid_of(worker: str) -> int:
    return int(worker.rsplit("-", 2)[1])


def connections_of(pid: int, port: int) -> int:
    open_ones = psutil.Process(pid).net_connections(kind="tcp")
    return sum(1 for one in open_ones if one.laddr.port == port and one.status == "ESTABLISHED")


@asynccontextmanager
async def hanging(backend: Backend, legacy: Service) -> AsyncIterator[list[asyncio.Task[Reply]]]:
    """Callers of both workers wait for a legacy service that stands still as long as the block lasts."""
    os.kill(legacy.process.pid, signal.SIGSTOP)
    waiting: list[asyncio.Task[Reply]] = []
    try:
        while len(waiting) < 12 or not all(connections_of(pid, backend.port) for pid in backend.workers):
            waiting.append(asyncio.create_task(ask(backend.url)))
            await until_metric(backend, IN_FLIGHT, len(waiting))
        yield waiting
    finally:
        os.kill(legacy.process.pid, signal.SIGCONT)


async def until_metric(backend: Backend, line: str, value: float) -> None:
    await asyncio.to_thread(backend.until, lambda: backend.metric(line) == value, f"{line} never was {value}")
