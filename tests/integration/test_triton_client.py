"""TritonClient against the real tritonserver, over gRPC and over HTTP."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from ai.core.errors import (
    DeadlineExceeded,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from ai.core.sample import sample_jpeg
from ai.triton.asking.described import ModelStatistics
from ai.triton.asking.grpc_wire import GrpcWire
from ai.triton.asking.http_wire import HttpWire
from ai.triton.client import Detected, TritonClient
from tests import scripted
from tests.scripted import (
    BATCHED,
    BOX,
    FLOATS,
    LONE,
    OWN,
    PIXELS,
    SIZE,
    TIMEOUT_S,
    boxes_of,
    client_of,
    occupied,
    picture,
    until_pending,
    wait_for,
)
from tests.tritons import RunningTriton, running_triton


@pytest.fixture(scope="module")
def triton(tmp_path_factory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    scripted.write_repository(repository)
    with running_triton(repository) as server:
        yield server
        server.kill()  # in order it would take seconds, and that is another test's matter


@pytest.fixture
def triton_for_one(tmp_path_factory) -> Iterator[RunningTriton]:
    """For what it may not survive: at a moment that is rare, Triton 2.51 is said to crash when a call is cancelled
    (its issues 7368 and 8034)."""
    repository = tmp_path_factory.mktemp("models")
    scripted.write_repository(repository)
    with running_triton(repository) as server:
        yield server
        server.kill()


@pytest.fixture(params=["grpc", "http"])
def protocol(request) -> str:
    return request.param


@pytest.fixture
async def client(triton, protocol) -> AsyncIterator[TritonClient]:
    await until_pending(triton, 0)  # what a test before left in the queue, Triton drops within half a second
    async with client_of(triton, protocol) as client:
        yield client


# --- what it takes and answers ----------------------------------------------------------------------------


async def test_encoded_bytes_become_detections(client):
    found = await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    assert boxes_of(found) == [BOX]
    assert [d.label for d in found.detections] == ["dog"]
    assert [found.detections.image_width, found.detections.image_height] == SIZE
    assert (found.model, found.model_version) == (LONE, "1")


async def test_a_name_is_resolved(triton):
    async with TritonClient.at(triton.grpc_url.replace("127.0.0.1", "dns:///localhost")) as client:
        assert boxes_of(await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)) == [BOX]


async def test_an_empty_scene_is_empty_and_a_full_one_is_full(client):
    nothing = await client.detect(LONE, picture(boxes=[]), timeout_s=TIMEOUT_S)
    assert len(nothing.detections) == 0
    rows = [[*BOX[:4], score, 0.0] for score in (0.9, 0.8, 0.7, 0.6, 0.5)]
    full = await client.detect(LONE, picture(boxes=rows), timeout_s=TIMEOUT_S)
    assert boxes_of(full) == np.float32(rows).tolist()


@pytest.mark.parametrize("model", [PIXELS, FLOATS])
async def test_a_model_that_takes_pixels_gets_them_prepared_as_its_spec_says(client, model):
    """Letterboxed bytes for the one, stretched and normalised floats for the other; boxes find their way back."""
    image = np.zeros((300, 600, 3), np.uint8)
    image[60:180, 120:420] = 255
    encoded = cv2.imencode(".png", image)[1].tobytes()
    (box,) = boxes_of(await client.detect(model, encoded, timeout_s=TIMEOUT_S))
    assert box[:4] == pytest.approx([120, 60, 420, 180], abs=7)  # an input pixel is 6 or 7 of the picture's
    assert box[4:] == pytest.approx([0.9, 1])
    dark = cv2.imencode(".png", np.zeros((300, 600, 3), np.uint8))[1].tobytes()
    assert boxes_of(await client.detect(model, dark, timeout_s=TIMEOUT_S)) == []


async def test_a_model_that_takes_pixels_is_not_asked_about_what_is_no_picture(client):
    with pytest.raises(Refused, match="picture"):
        await client.detect(PIXELS, b"no picture", timeout_s=TIMEOUT_S)


async def test_a_model_of_the_users_own_needs_a_spec_from_him(triton, client, protocol):
    """One with the batch in its shape, an output that nobody asked for, and nothing of ours in its configuration."""
    encoded = cv2.imencode(".png", np.full((64, 96, 3), 255, np.uint8))[1].tobytes()
    with pytest.raises(ModelNotFound, match=r"images UINT8 \[1, 3, 64, 96\].*no spec was given"):
        await client.detect(OWN, encoded, timeout_s=TIMEOUT_S)
    async with client_of(triton, protocol, specs={OWN: scripted.SPEC}) as told:
        found = await told.detect(OWN, encoded, timeout_s=TIMEOUT_S)
        assert boxes_of(found)[0][:4] == [0, 0, 96, 64]
    async with client_of(triton, protocol, specs={OWN: scripted.FLOAT_SPEC}) as wrong:
        with pytest.raises(ModelNotFound, match=r"wanted is .*images FP32 \[3, 64, 96\] in"):
            await wrong.detect(OWN, encoded, timeout_s=TIMEOUT_S)


# --- batches and queues -----------------------------------------------------------------------------------


async def test_a_batch_is_asked_at_once_so_that_triton_can_make_batches(triton, client):
    asked, batches = (triton.metric(f"nv_inference_{name}", BATCHED) for name in ("count", "exec_count"))
    outcomes = await client.detect_batch(BATCHED, [picture()] * 64, timeout_s=TIMEOUT_S)
    assert [boxes_of(outcome) for outcome in outcomes] == [[BOX]] * 64
    asked = triton.metric("nv_inference_count", BATCHED) - asked
    batches = triton.metric("nv_inference_exec_count", BATCHED) - batches
    assert asked == 64
    assert batches <= 16, "batches of four or more, of at most eight"


async def test_one_at_a_time_makes_no_batches(triton, client):
    """The control: without concurrency Triton runs each picture alone."""
    before = triton.metric("nv_inference_exec_count", BATCHED)
    for _ in range(4):
        await client.detect(BATCHED, picture(), timeout_s=TIMEOUT_S)
    assert triton.metric("nv_inference_exec_count", BATCHED) - before == 4


async def test_one_bad_image_of_a_batch_fails_alone(client):
    images = [picture(boxes=[[*BOX[:4], 0.1 * n, 0]]) for n in range(1, 9)]
    images[3] = b"no picture"
    outcomes = await client.detect_batch(BATCHED, images, timeout_s=TIMEOUT_S)
    assert isinstance(outcomes.pop(3), Refused)
    scores = [outcome.detections.items[0].score for outcome in outcomes]
    assert scores == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8])


async def test_what_a_batch_cannot_ask_in_time_is_said_for_each_image(client, tmp_path):
    release = tmp_path / "release"
    outcomes = await client.detect_batch(LONE, [picture(wait_for=str(release))] * 40, timeout_s=0.3)
    release.touch()
    assert len(outcomes) == 40
    assert {type(outcome) for outcome in outcomes} <= {DeadlineExceeded, Overloaded}


async def test_a_higher_priority_goes_before_what_waits(triton, client, tmp_path):
    notes = tmp_path / "notes"
    async with occupied(triton, client, tmp_path):

        def ask(name: str, priority: int) -> asyncio.Task[Detected]:
            what = picture(note=str(notes), name=name)
            return asyncio.create_task(client.detect(LONE, what, timeout_s=TIMEOUT_S, priority=priority))

        low = [ask(f"low {n}", 2) for n in range(3)]
        await until_pending(triton, 3)
        high = ask("high", 1)
        await until_pending(triton, 4)
    await asyncio.gather(*low, high)
    assert notes.read_text().splitlines()[0] == "high"


async def test_triton_does_not_work_for_a_caller_that_is_gone(triton, client, tmp_path):
    """It waited in the queue until its own time was over."""
    notes = tmp_path / "notes"
    async with occupied(triton, client, tmp_path):
        with pytest.raises(DeadlineExceeded):
            await client.detect(LONE, picture(note=str(notes), name="late"), timeout_s=0.2)
        await asyncio.sleep(0.1)  # Triton's clock began when the request was there, a moment after ours
    await client.detect(LONE, picture(note=str(notes), name="next"), timeout_s=TIMEOUT_S)
    assert notes.read_text().splitlines() == ["next"]


async def test_a_full_queue_is_overload_and_named(triton, client, tmp_path):
    async with occupied(triton, client, tmp_path):
        waiting = [asyncio.create_task(client.detect(LONE, picture(), timeout_s=TIMEOUT_S)) for _ in range(4)]
        await until_pending(triton, 4)
        with pytest.raises(Overloaded, match="Exceeds maximum queue size") as refused:
            await client.detect(LONE, picture(), timeout_s=TIMEOUT_S, request_id="abc")
        assert not refused.value.counts_against_backend
    assert [boxes_of(found) for found in await asyncio.gather(*waiting)] == [[BOX]] * 4


# --- time -------------------------------------------------------------------------------------------------


async def test_a_hung_model_is_ended_by_the_callers_timeout(triton, client, tmp_path):
    """Within 50 ms of a timer that runs beside it."""
    timeout_s = 0.3
    late_s = []
    async with occupied(triton, client, tmp_path):
        for _ in range(5):
            control = asyncio.create_task(_slept(timeout_s))
            begun = time.perf_counter()
            with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.3"):
                await client.detect(LONE, picture(), timeout_s=timeout_s)
            late_s.append(time.perf_counter() - begun - await control)
    assert statistics.median(late_s) < 0.05, late_s


async def _slept(seconds: float) -> float:
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    return time.perf_counter() - begun


async def test_no_time_is_said_without_asking(triton, client):
    await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    before = triton.metric("nv_inference_count", LONE)
    with pytest.raises(DeadlineExceeded):
        await client.detect(LONE, picture(), timeout_s=0)
    assert triton.metric("nv_inference_count", LONE) == before


# --- health, and what the server says ---------------------------------------------------------------------


async def test_the_server_is_asked_about_its_models(client):
    metadata = await client.model_metadata(LONE)
    assert (metadata.name, metadata.versions, metadata.platform) == (LONE, ("1",), "python")
    assert [(t.name, t.datatype, t.shape) for t in metadata.inputs] == [("image", "UINT8", (-1, -1))]
    assert [t.name for t in metadata.outputs] == ["detections", "image_size"]
    assert await client.is_model_ready(LONE)
    assert not await client.is_model_ready("no_such")
    await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    before = await counted(client)
    await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    after = await counted(client, before.inference_count)
    assert after.inference_count - before.inference_count == 1
    assert after.execution_count - before.execution_count == 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns > 0
    assert after.batch_stats[0].batch_size == 1


async def counted(client, more_than: int = 0) -> ModelStatistics:
    """Once nothing is added any more: Triton counts a request a moment after its answer has left."""
    last = -1
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            (now,) = await client.statistics(LONE)
            if now.inference_count == last > more_than:
                return now
            last = now.inference_count
            await asyncio.sleep(0.1)


async def test_models_are_listed_unloaded_and_loaded_with_the_key(triton, client):
    assert {(entry.name, entry.state) for entry in await client.repository_index()} >= {(PIXELS, "READY")}
    await client.detect(FLOATS, sample_jpeg(), timeout_s=TIMEOUT_S)
    await client.unload_model(FLOATS)
    ends_at = time.monotonic() + 20
    while await client.is_model_ready(FLOATS):
        assert time.monotonic() < ends_at
        await asyncio.sleep(0.02)
    with pytest.raises(ModelNotFound):
        await client.detect(FLOATS, sample_jpeg(), timeout_s=TIMEOUT_S)
    await client.load_model(FLOATS)
    assert await client.is_healthy(FLOATS)


async def test_without_the_key_the_repository_is_closed(triton, protocol):
    url = triton.grpc_url if protocol == "grpc" else triton.http_url
    async with TritonClient.at(url, protocol) as stranger:
        for closed in (stranger.repository_index(), stranger.load_model(LONE), stranger.unload_model(LONE)):
            with pytest.raises(ServerError, match="restricted"):
                await closed
        assert await stranger.is_healthy(LONE)


# --- callers that go away ---------------------------------------------------------------------------------

CANCELLED_CALLS = 10_000
AT_ONCE = 250
SLOTS = 32


@pytest.mark.alone
async def test_ten_thousand_cancelled_calls_leave_nothing(triton_for_one, protocol, tmp_path):
    """No task, no descriptor, no slot of the client's, no request in the server's queue."""
    triton = triton_for_one
    wire = GrpcWire(triton.grpc_url) if protocol == "grpc" else HttpWire(triton.http_url, connections=SLOTS)
    async with TritonClient(wire) as client:
        await asyncio.gather(*(client.detect(BATCHED, picture(), timeout_s=TIMEOUT_S) for _ in range(100)))
        before = _held()  # with all connections that it may open
        cancelled, moments = 0, random.Random(1)
        while cancelled < CANCELLED_CALLS:
            cancelled += await _ask_and_cancel(client, moments)
        await _until_held(before)
        await until_pending(triton, 0, BATCHED)
        await _use_every_slot(triton, client, tmp_path)


async def _ask_and_cancel(client: TritonClient, moments: random.Random) -> int:
    """Many calls, each cancelled at another moment of its life; how many were not answered before."""
    calls = [
        asyncio.create_task(client.detect(BATCHED, picture(), timeout_s=TIMEOUT_S)) for _ in range(AT_ONCE)
    ]
    for call in calls:
        asyncio.get_running_loop().call_later(moments.uniform(0, 0.04), call.cancel)
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ends} <= {asyncio.CancelledError, Detected, Overloaded}
    return sum(isinstance(end, asyncio.CancelledError) for end in ends)


async def _use_every_slot(triton: RunningTriton, client: TritonClient, folder: Path) -> None:
    """One is worked on and all others wait in the server, so none waits in the client."""
    async with occupied(triton, client, folder, BATCHED):
        waiting = [
            asyncio.create_task(client.detect(BATCHED, picture(), timeout_s=TIMEOUT_S))
            for _ in range(SLOTS - 1)
        ]
        await until_pending(triton, SLOTS - 1, BATCHED)
    assert [boxes_of(found) for found in await asyncio.gather(*waiting)] == [[BOX]] * (SLOTS - 1)


def _held() -> tuple[int, int]:
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def _until_held(most: tuple[int, int], timeout_s: float = 10) -> None:
    """AssertionError if there are more tasks or descriptors than this even after a while."""
    ends_at = time.monotonic() + timeout_s
    while any(now > allowed for now, allowed in zip(_held(), most, strict=True)):
        assert time.monotonic() < ends_at, f"left: {_held()} tasks and descriptors, allowed are {most}"
        await asyncio.sleep(0.02)


async def test_a_leak_would_be_seen():
    """The control: one task or one descriptor too many is found."""
    before = _held()
    task = asyncio.create_task(asyncio.sleep(60))
    with pytest.raises(AssertionError, match="left"):
        await _until_held(before, timeout_s=0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    read, write = os.pipe()
    with pytest.raises(AssertionError, match="left"):
        await _until_held(before, timeout_s=0.1)
    os.close(read)
    os.close(write)
    await _until_held(before, timeout_s=0.1)


async def test_cancelling_a_batch_cancels_all_of_it(triton, client, tmp_path):
    await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    async with occupied(triton, client, tmp_path):
        before = _held()[0], 10**6  # answered calls leave open connections
        batch = asyncio.create_task(client.detect_batch(LONE, [picture()] * 50, timeout_s=TIMEOUT_S))
        await until_pending(triton, 4)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        await _until_held(before)


async def test_closing_tells_those_who_wait(triton, protocol, tmp_path):
    """They are not cancelled: nobody cancelled them."""
    await until_pending(triton, 0)
    client = client_of(triton, protocol)
    await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    release, begun = tmp_path / "release", tmp_path / "begun"
    what = picture(wait_for=str(release), touch=str(begun))
    call = asyncio.create_task(client.detect(LONE, what, timeout_s=TIMEOUT_S))
    await wait_for(begun)
    await client.close()
    with pytest.raises(Unavailable, match="closed"):
        await call
    release.touch()
    with pytest.raises(Unavailable):
        await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
