"""A detector that shares nothing with ours is brought, built, served by a real Triton and asked: by its spec alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from ai.triton.building import added
from ai.triton.client import Detected, TritonClient
from ai.triton.repository import Options, build
from tests import lamps, pictures
from tests.checkpoints import checkpoint
from tests.tritons import RunningTriton, running_triton

pytestmark = pytest.mark.beside

TIMEOUT_S = 20.0
WIDTH, HEIGHT = 1280, 360  # four and two of the picture's pixels are one of the network's
RED, BLUE = (255, 0, 0), (0, 0, 204)


def picture(*shining: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> bytes:
    """Grey dusk with lamps: a box x1, y1, x2, y2 and an RGB colour each."""
    scene = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for (x1, y1, x2, y2), colour in shining:
        scene[y1:y2, x1:x2] = colour
    return pictures.png(scene)


def seen(found: Detected) -> list[tuple[float, ...]]:
    return [(d.x1, d.y1, d.x2, d.y2, d.score, d.label) for d in found.detections]


@pytest.fixture(scope="module")
def triton(tmp_path_factory) -> Iterator[RunningTriton]:
    """Nothing here knows what a lamp is but the spec."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "detector.toml").write_text(lamps.SPEC)
    name = added.add(lamps.export(folder / "lamps.onnx"), folder / "detectors", spec=folder / "detector.toml")
    sources = {name: added.sources(folder / "detectors")[name]()}
    build(folder / "models", sources, Options(also=("tensors",)), lambda _: None)
    with running_triton(folder / "models") as triton:
        yield triton


@pytest.fixture(params=["lamps_jpeg", "lamps"], ids=["encoded", "pixels"])
def model(request):
    return request.param


async def test_boxes_come_back_in_pixels_of_the_picture(triton, model):
    async with TritonClient.at(triton.grpc_url) as client:
        lit = picture(((400, 100, 480, 160), RED), ((1000, 20, 1040, 60), BLUE))
        found = await client.detect(model, lit, timeout_s=TIMEOUT_S)
    (stop, service) = seen(found)
    assert stop == pytest.approx((400, 100, 480, 160, 1.0, "stop lamp"), abs=1e-3)
    assert service == pytest.approx((1000, 20, 1040, 60, 0.8, "service lamp"), abs=1e-3)
    assert (found.detections.image_width, found.detections.image_height) == (WIDTH, HEIGHT)


async def test_each_picture_of_a_batch_has_its_own_answer(triton, model):
    boxes = [(40 * i, 20 * i, 40 * i + 80, 20 * i + 40) for i in range(12)]
    async with TritonClient.at(triton.grpc_url) as client:
        batch = [picture((box, RED)) for box in boxes]
        outcomes = await client.detect_batch(model, [*batch, picture()], timeout_s=TIMEOUT_S)
    assert [len(seen(found)) for found in outcomes] == [1] * 12 + [0]
    for found, box in zip(outcomes, boxes, strict=False):
        assert seen(found)[0][:4] == pytest.approx(box, abs=1e-3)


async def test_it_is_served_as_its_spec_asks(triton):
    """Three instances, and a lone picture waits 30 ms for company."""
    config = httpx.get(f"http://{triton.http_url}/v2/models/lamps_jpeg/config", trust_env=False).json()
    assert [group["count"] for group in config["instance_group"]] == [3]
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 30_000
    assert len(triton.stub_pids()) == 6  # of two models
    waited = triton.metric("nv_inference_queue_duration_us", "lamps_jpeg")
    async with TritonClient.at(triton.grpc_url) as client:
        await client.detect("lamps_jpeg", picture(), timeout_s=TIMEOUT_S)
    assert triton.metric("nv_inference_queue_duration_us", "lamps_jpeg") - waited >= 29_000


def test_one_command_brings_a_checkpoint_builds_it_and_sees_that_it_agrees(tmp_path):
    """Custom classes, another input size, and no spec: `crossfade models add` runs this."""
    checkpoint(tmp_path / "yard.pt", "yolo11n")
    done = subprocess.run(
        [sys.executable, "-m", "ai.triton.models", "add", "yard.pt"],
        cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "yard: added, its spec is var/detectors/yard/detector.toml" in done.stdout
    assert "yard_jpeg: version 1 built" in done.stdout
    assert "parity passed" in done.stdout
