"""Repositories as we build them, served by the real Triton: every kind of model, and versions coming and going."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ai.core.errors import Refused
from ai.triton.building.activation import activate
from ai.triton.building.inventory import inventory
from ai.triton.building.words import ALSO
from ai.triton.client import Detected, TritonClient
from ai.triton.repository import Options, build
from ai.triton.stored import versions
from ai.triton.stored.served import Served
from tests import pictures
from tests.tiny import A_CAT, A_DOG, SPEC, broken_source, tiny_source
from tests.tritons import RunningTriton, running_triton

pytestmark = pytest.mark.beside

TIMEOUT_S = 20.0
CAT_IN_THE_PICTURE = [(160.0, 80.0, 480.0, 160.0, 0.75, "cat")]  # of 640 x 320, fitted into 64 x 64
CALLERS = 16


def quiet(_: str) -> None:
    pass


def built(folder: Path, rows=A_CAT, spec=SPEC, **options):
    return build(folder, {spec.name: tiny_source(folder.parent, rows, spec)}, Options(**options), quiet)


def picture() -> bytes:
    return pictures.jpeg(pictures.scene(640, 320))


def seen(found: Detected) -> list[tuple[float, float, float, float, float, str]]:
    return [(d.x1, d.y1, d.x2, d.y2, d.score, d.label) for d in found.detections]


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Iterator[RunningTriton]:
    """One detector in every form: both CPU engines, all tiers, pixels in, and in front of a model of Triton's own."""
    repository = tmp_path_factory.mktemp("models") / "repository"
    built(repository, also=ALSO)
    built(repository, spec=replace(SPEC, name="queued"), bounded_queue=True)
    built(repository, spec=replace(SPEC, name="runtime"), engine="onnxruntime")
    built(repository, spec=replace(SPEC, name="front"), engine="tensorrt")
    shutil.rmtree(repository / "front")  # the plan, which only NVIDIA's container can run
    front = repository / "front_jpeg" / "1"
    replace(Served.load(front), tensor_model="tiny").save(front)
    with running_triton(repository) as triton:
        yield triton


@pytest.mark.parametrize(
    "model", ["tiny_jpeg", "tiny_jpeg_streaming", "tiny_jpeg_batch", "tiny", "runtime_jpeg", "front_jpeg"]
)
async def test_every_kind_of_model_answers_in_pixels_of_the_picture(everything, model):
    async with TritonClient.at(everything.grpc_url) as client:
        found = await client.detect(model, picture(), timeout_s=TIMEOUT_S)
    assert seen(found) == CAT_IN_THE_PICTURE
    assert (found.detections.image_width, found.detections.image_height) == (640, 320)


@pytest.mark.parametrize("model", ["tiny_jpeg", "front_jpeg"])
async def test_of_a_batch_the_bad_pictures_fail_alone_and_by_name(everything, model):
    good, bad = picture(), picture()[:900]
    async with TritonClient.at(everything.grpc_url) as client:
        outcomes = await client.detect_batch(
            model, [good, bad, good, b"no picture", good], timeout_s=TIMEOUT_S
        )
    assert [isinstance(outcome, Detected) for outcome in outcomes] == [True, False, True, False, True]
    assert all(seen(outcome) == CAT_IN_THE_PICTURE for outcome in outcomes if isinstance(outcome, Detected))
    assert all(isinstance(outcome, Refused) for outcome in (outcomes[1], outcomes[3]))
    assert "cut short" in str(outcomes[1])


async def test_pictures_asked_together_go_through_the_network_together(everything):
    async with TritonClient.at(everything.grpc_url) as client:
        asked = everything.metric("nv_inference_count", "tiny_jpeg_batch")
        run = everything.metric("nv_inference_exec_count", "tiny_jpeg_batch")
        await client.detect_batch("tiny_jpeg_batch", [picture()] * 64, timeout_s=TIMEOUT_S)
        asked = everything.metric("nv_inference_count", "tiny_jpeg_batch") - asked
        run = everything.metric("nv_inference_exec_count", "tiny_jpeg_batch") - run
    assert asked == 64
    assert run < asked / 2


@pytest.mark.parametrize("model", ["tiny_jpeg", "queued_jpeg"])
async def test_both_priorities_are_taken(everything, model):
    async with TritonClient.at(everything.grpc_url) as client:
        for priority in (0, 1, 2):
            found = await client.detect(model, picture(), timeout_s=TIMEOUT_S, priority=priority)
            assert seen(found) == CAT_IN_THE_PICTURE


# --- versions ---------------------------------------------------------------------------------------------


@pytest.fixture
def changing(tmp_path) -> Iterator[RunningTriton]:
    built(tmp_path / "repository")
    with running_triton(tmp_path / "repository") as triton:
        yield triton


async def test_a_new_version_is_taken_without_dropping_a_request(changing):
    answers: list[Detected] = []
    stop = asyncio.Event()

    async with TritonClient.at(changing.grpc_url) as client:

        async def call() -> None:
            while not stop.is_set():
                answers.append(await client.detect("tiny_jpeg", picture(), timeout_s=TIMEOUT_S))

        async def until_answered(version: str, count: int) -> None:
            while sum(answer.model_version == version for answer in answers) < count:
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(call())
            await until_answered("1", 2 * CALLERS)
            new = built(changing.repository, A_DOG)
            [outcome] = await asyncio.to_thread(activate, changing.record, new)
            await until_answered("2", 2 * CALLERS)
            stop.set()

    assert outcome.failure is None
    labels = {(answer.model_version, seen(answer)[0][-1]) for answer in answers}
    assert labels == {("1", "cat"), ("2", "dog")}


async def test_a_version_that_fails_is_set_aside_and_the_old_one_serves_also_after_a_restart(changing):
    repository = changing.repository
    new = build(repository, {"tiny": broken_source()}, Options(), quiet)
    [outcome] = await asyncio.to_thread(activate, changing.record, new)
    assert outcome.version == 2
    assert "model.onnx" in outcome.failure or "ONNX" in outcome.failure, "Triton's own reason"
    assert versions.numbers(repository / "tiny_jpeg") == [1]
    for restart in (False, True):
        if restart:
            changing.restart()
        async with TritonClient.at(changing.grpc_url) as client:
            found = await client.detect("tiny_jpeg", picture(), timeout_s=TIMEOUT_S)
        assert (found.model_version, seen(found)) == ("1", CAT_IN_THE_PICTURE)
    [row] = inventory(repository, changing.record)
    assert (row.version, row.state, row.set_aside) == (1, "READY", ("failed-2-1",))


async def test_what_was_built_but_never_loaded_is_loaded_by_the_next_build(changing):
    built(changing.repository, A_DOG)  # and then the build was interrupted
    again = built(changing.repository, A_DOG)
    assert not again[0].changed
    [outcome] = await asyncio.to_thread(activate, changing.record, again)
    assert outcome.failure is None
    assert await asyncio.to_thread(activate, changing.record, again) == []
    async with TritonClient.at(changing.grpc_url) as client:
        assert (await client.detect("tiny_jpeg", picture(), timeout_s=TIMEOUT_S)).model_version == "2"


async def test_a_server_that_is_away_says_nothing_of_a_version(changing):
    new, record = built(changing.repository, A_DOG), changing.record
    changing.kill()
    [outcome] = await asyncio.to_thread(activate, record, new)
    assert (outcome.set_aside, versions.numbers(changing.repository / "tiny_jpeg")) == (False, [1, 2])
    assert "did not say" in outcome.sentence


async def test_new_labels_come_with_the_version_that_has_them(changing):
    """The client reads the contract again when another version answers."""
    async with TritonClient.at(changing.grpc_url) as client:
        before = await client.detect("tiny_jpeg", picture(), timeout_s=TIMEOUT_S)
        new = built(changing.repository, spec=replace(SPEC, labels=("fox", "owl")))
        await asyncio.to_thread(activate, changing.record, new)
        after = await client.detect("tiny_jpeg", picture(), timeout_s=TIMEOUT_S)
    assert [seen(found)[0][-1] for found in (before, after)] == ["cat", "fox"]


def test_the_list_says_what_is_built_and_what_serves(everything):
    rows = {row.model: row for row in inventory(everything.repository, everything.record)}
    assert {row.state for row in rows.values()} == {"READY"}
    assert (rows["runtime_jpeg"].engine, rows["front_jpeg"].engine) == ("onnxruntime", "bls")
    assert rows["tiny_jpeg_batch"].max_batch == 128
    assert json.dumps([row.to_table() for row in rows.values()])
    assert {row.state for row in inventory(everything.repository, None)} == {"not running"}
