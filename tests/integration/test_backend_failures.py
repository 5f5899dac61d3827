"""What a caller sees of it when a real Triton, or a real legacy service, fails under load: nothing, or a typed error.

Triton is real, its model is a script that answers in a millisecond. Legacy is the real service: with its true model
where an answer is to be seen to be right, else with one that costs no processor, so that callers can be many.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ai.core.sample import sample_jpeg
from tests import scripted
from tests.backends import CLOSED, Backend, quick_model, running_backend
from tests.callers import Load, Reply, ask, ask_often, counted, load
from tests.legacy_process import legacy_process
from tests.services import Service
from tests.tritons import RunningTriton, running_triton

MODEL, WRONG_FROM_THE_START = "yolo26_jpeg", "rtdetr_jpeg"
TO_TRITON = {"TRITON_ENABLED": "true", "TRITON_TRAFFIC_FRACTION": "1"}
TO_LEGACY = {"TRITON_ENABLED": "true", "TRITON_TRAFFIC_FRACTION": "0"}
CLOCKS_S = 0.01  # between a line of the log and what it tells of


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    quick_model(repository, MODEL)
    quick_model(repository, WRONG_FROM_THE_START, input_name="picture")
    with running_triton(repository) as server:
        yield server
        server.kill()


@pytest.fixture(scope="module")
def backend(triton: RunningTriton, legacy: Service) -> Iterator[Backend]:
    """At 100 % Triton."""
    with running_backend(legacy=legacy, triton=triton, **TO_TRITON) as backend:
        yield backend


# --- Triton fails, in every way that it has ---------------------------------------------------------------


async def kill_9(triton: RunningTriton) -> None:
    await asyncio.to_thread(triton.kill)


async def stand_still(triton: RunningTriton) -> None:
    os.kill(triton.pid, signal.SIGSTOP)
    await asyncio.sleep(3)


async def unload(triton: RunningTriton) -> None:
    async with scripted.client_of(triton, "grpc") as client:
        await client.unload_model(MODEL)


async def restart(triton: RunningTriton) -> None:
    await asyncio.to_thread(triton.restart)


async def go_on(triton: RunningTriton) -> None:
    os.kill(triton.pid, signal.SIGCONT)


async def load_again(triton: RunningTriton) -> None:
    async with scripted.client_of(triton, "grpc") as client:
        await client.load_model(MODEL)


# The rows of `tests/chaos` have more of them; here is looked at that no caller probes.
FAULTS: dict[str, tuple[Any, Any, set[str]]] = {
    "kill -9": (kill_9, restart, {"unavailable"}),
    "SIGSTOP": (stand_still, go_on, {"deadline_exceeded"}),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_caller_is_answered_whatever_happens_to_triton_and_it_is_asked_again_when_it_is_back(
    fault: str, triton: RunningTriton, backend: Backend
) -> None:
    fail, mend, reasons = FAULTS[fault]
    begun, attempts = time.time(), backend.attempts("triton")
    async with load(backend.url) as callers:
        await callers.until_served_by("triton")
        await fail(triton)
        await callers.until_all("200 legacy breaker_open")
        await mend(triton)
        await callers.until_all("200 triton None")
    assert {reply.status for reply in callers.replies} == {200}, counted(callers.replies)
    assert seen_reasons(callers.replies) - {"breaker_open"} <= reasons, counted(callers.replies)
    require_that_no_caller_probed(backend, begun, callers)
    asked_by_callers = sum(reply.attempts.get("triton", 0) for reply in callers.replies)
    assert backend.attempts("triton") - attempts - asked_by_callers >= 3  # probes of its own, which closed it


def seen_reasons(replies: list[Reply]) -> set[str]:
    return {reply.fallback_reason for reply in replies if reply.fallback_reason}


def require_that_no_caller_probed(backend: Backend, since: float, callers: Load) -> None:
    """Whoever came while the breaker was open or half open was served by legacy at once."""
    backend.until(
        lambda: len(lines_since(backend, "request", since)) >= len(callers.replies), "lines are missing"
    )
    moves = [one for one in lines_since(backend, "breaker", since) if one["backend"] == "triton"]
    assert [moves[0]["to"], moves[-1]["to"]] == ["open", "closed"], moves
    barred = [(one["at"], then["at"]) for one, then in pairwise(moves) if one["to"] != "closed"]
    came = [
        line for line in lines_since(backend, "request", since)
        for start, end in barred if start + CLOCKS_S < line["at"] - line["total_ms"] / 1000 < end - CLOCKS_S
    ]  # fmt: skip
    assert len(came) > 10
    assert {(line["served_by"], line["fallback_reason"], line["attempts"]) for line in came} == {
        ("legacy", "breaker_open", 1)
    }


def lines_since(backend: Backend, event: str, since: float) -> list[dict[str, Any]]:
    return [line for line in backend.lines(event) if line["at"] >= since and line["detector"] == "yolo26"]


async def test_what_callers_are_answered_meanwhile_is_what_the_true_legacy_model_sees(
    yolo26: Service, triton: RunningTriton
) -> None:
    image = sample_jpeg()
    direct = yolo26.post("/detect", content=image, headers={"Content-Type": "image/jpeg"}).json()[
        "detections"
    ]
    sure = [found for found in direct if found["confidence"] >= 0.5]
    with running_backend(legacy=yolo26, triton=triton, **TO_TRITON) as backend:
        first = await ask(backend.url, image=image)
        await kill_9(triton)
        try:
            replies = [await ask(backend.url, image=image) for _ in range(8)]
        finally:
            await restart(triton)
    assert first.side == "triton"
    assert {(reply.status, reply.side) for reply in replies} == {(200, "legacy")}
    assert sure
    assert all(reply.document["detections"] == sure for reply in replies)


# --- Triton is there, and is not what it was --------------------------------------------------------------


MISFITS: dict[str, tuple[Callable[[Path], Any], set[str]]] = {
    "an input of another name": (
        lambda repository: quick_model(repository, MODEL, input_name="picture"), {"refused", "model_not_found"},
    ),
    "an input of another type": (
        lambda repository: quick_model(repository, MODEL, input_type="FP32"), {"refused", "model_not_found"},
    ),
    "an output of another type": (
        lambda repository: quick_model(repository, MODEL, output_type="INT32"),
        {"invalid_model_output", "model_not_found"},
    ),
    "no version": (lambda repository: shutil.rmtree(repository / MODEL / "1"), {"model_not_found"}),
}  # fmt: skip


@pytest.mark.parametrize("misfit", MISFITS)
async def test_a_triton_that_takes_or_answers_something_else_is_no_callers_fault(
    misfit: str, triton: RunningTriton, backend: Backend
) -> None:
    write, reasons = MISFITS[misfit]
    async with load(backend.url, callers=4) as callers, put_back(triton):
        await callers.until_served_by("triton")
        write(triton.repository)
        await unload(triton)
        await load_what_is_there(triton)
        begun = len(callers.replies)
        await callers.grown_by(60)
        meanwhile = callers.replies[begun + 4 :]  # each caller may have one under way from before
    assert {(reply.status, reply.side) for reply in meanwhile} == {(200, "legacy")}, counted(meanwhile)
    assert {reply.status for reply in callers.replies} == {200}, counted(callers.replies)
    assert seen_reasons(meanwhile) - {"breaker_open"} <= reasons, counted(meanwhile)
    await served_by_triton_again(backend)


async def test_where_the_version_moves_on_triton_goes_on_serving(
    triton: RunningTriton, backend: Backend
) -> None:
    async with load(backend.url, callers=4) as callers, put_back(triton):
        await callers.until_served_by("triton")
        (triton.repository / MODEL / "1").rename(triton.repository / MODEL / "2")
        await load_again(triton)
        await callers.until_served_by("triton")
        latest = callers.replies[-4:]
    assert {reply.status for reply in callers.replies} == {200}, counted(callers.replies)
    assert {reply.document["served_by"]["model_version"] for reply in latest} == {"2"}
    await served_by_triton_again(backend)


async def test_a_triton_that_never_fitted_is_no_callers_fault(backend: Backend) -> None:
    replies = await ask_often(backend.url, 40, path="/api/detect?detector=rtdetr")
    assert {(reply.status, reply.side) for reply in replies} == {(200, "legacy")}, counted(replies)
    assert seen_reasons(replies) <= {"model_not_found", "breaker_open"}


@asynccontextmanager
async def put_back(triton: RunningTriton) -> AsyncIterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(triton.repository / MODEL)
        quick_model(triton.repository, MODEL)
        await unload(triton)
        await load_again(triton)


async def load_what_is_there(triton: RunningTriton) -> None:
    try:
        await load_again(triton)
    except Exception:  # noqa: BLE001 - nothing is there
        assert not (triton.repository / MODEL / "1").exists()


async def served_by_triton_again(backend: Backend) -> None:
    async with load(backend.url, callers=2) as callers:
        await callers.until_served_by("triton")


# --- legacy fails -----------------------------------------------------------------------------------------


async def test_with_legacy_hung_a_caller_is_told_at_once_and_triton_is_never_asked(
    triton: RunningTriton,
) -> None:
    with (
        legacy_process() as legacy,
        running_backend(legacy=legacy, triton=triton, DETECT_DEADLINE_S="1", **TO_LEGACY) as backend,
    ):
        asked = triton.asked_of(MODEL)
        assert (await ask(backend.url)).side == "legacy"
        with standing_still(legacy):
            waited = await at_once(backend, 8)
            backend.until(lambda: backend.breaker("legacy") != CLOSED, "the breaker stayed closed")
            told = await at_once(backend, 8)
        assert {reply.status for reply in waited} <= {503, 504}
        assert {reply.status for reply in told} == {503}
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in told)
        assert max(reply.took_s for reply in told) < min(reply.took_s for reply in waited) / 2
        async with load(backend.url, callers=2) as callers:
            await callers.until_served_by("legacy")
        assert triton.asked_of(MODEL) == asked
        assert backend.attempts("triton") == 0


@contextmanager
def standing_still(service: Service) -> Iterator[None]:
    os.kill(service.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(service.process.pid, signal.SIGCONT)


async def test_with_legacy_dead_triton_answers_where_the_configuration_says_both(
    triton: RunningTriton,
) -> None:
    for fallback, outcomes in (("both", {(200, "triton")}), ("legacy", {(503, None)})):
        with (
            legacy_process() as legacy,
            running_backend(legacy=legacy, triton=triton, FALLBACK=fallback, **TO_LEGACY) as backend,
        ):
            asked = triton.asked_of(MODEL)
            assert (await ask(backend.url)).side == "legacy"
            legacy.process.kill()
            replies = await ask_often(backend.url, 40)
            assert {(reply.status, reply.side) for reply in replies} == outcomes, counted(replies)
            assert seen_reasons(replies) <= {"unavailable", "breaker_open"}
            assert (triton.asked_of(MODEL) > asked) == (fallback == "both")
            assert all("retry-after" in reply.headers for reply in replies if reply.status == 503)


async def at_once(backend: Backend, callers: int) -> list[Reply]:
    waiting: list[Awaitable[Reply]] = [ask(backend.url) for _ in range(callers)]
    return await asyncio.gather(*waiting)
