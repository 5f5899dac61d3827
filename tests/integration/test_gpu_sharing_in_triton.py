"""A real Triton whose instances share one engine, as they do on a GPU: here the engine is a processor's."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from ai.core.errors import ServerError
from ai.triton import repository
from ai.triton.client import TritonClient
from ai.triton.embedded.settings import EmbeddedSettings
from ai.triton.repository import Options
from ai.triton.server import TritonServer
from tests.tiny import tiny_source
from tests.tritons import RunningTriton, running_triton

pytestmark = pytest.mark.beside

MODEL, INSTANCES = "tiny_jpeg", 3
SHARING = """
import os, time
from pathlib import Path
from ai.triton.backend_model import TritonPythonModel as Model

NOTES = Path(__file__).parents[3] / "notes"

class TritonPythonModel(Model):
    shares = True

    def initialize(self, args):
        super().initialize(args)
        if hasattr(self, "engine"):
            (NOTES / f"built-{os.getpid()}").touch()

    def execute(self, requests):
        (NOTES / f"asked-{os.getpid()}").touch()
        time.sleep(0.02)  # so that the next request finds this instance busy
        return super().execute(requests)
"""


def built_in(folder: Path) -> Path:
    models = folder / "models"
    (folder / "notes").mkdir()
    options = Options(engine="onnxruntime", instances=INSTANCES)
    repository.build(models, {"tiny": tiny_source(folder)}, options, lambda _: None)
    for model in models.glob("*/*/model.py"):
        model.write_text(SHARING)
    return models


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    with running_triton(built_in(tmp_path_factory.mktemp("sharing"))) as server:
        yield server


def noted(models: Path, what: str) -> set[int]:
    return {int(note.name.split("-")[1]) for note in models.with_name("notes").glob(f"{what}-*")}


def picture() -> bytes:
    whole, data = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))
    assert whole
    return data.tobytes()


async def ask(grpc_url: str, times: int) -> list[str]:
    async with TritonClient.at(grpc_url, "grpc") as client:
        answers = await asyncio.gather(
            *(client.detect(MODEL, picture(), timeout_s=20) for _ in range(times)), return_exceptions=True
        )
    return [
        str(one) if isinstance(one, BaseException) else ",".join(seen.label for seen in one.detections)
        for one in answers
    ]


async def test_all_instances_answer_and_one_of_them_has_the_engine(triton: RunningTriton) -> None:
    assert set(await ask(triton.grpc_url, 60)) == {"cat"}
    assert len(noted(triton.repository, "built")) == 1
    assert len(noted(triton.repository, "asked")) == INSTANCES


async def test_a_picture_that_is_none_is_refused_by_each_of_them(triton: RunningTriton) -> None:
    async with TritonClient.at(triton.grpc_url, "grpc") as client:
        asked = (client.detect(MODEL, b"no picture", timeout_s=20) for _ in range(30))
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all("not a picture" in str(one) for one in answers)


async def test_loaded_anew_it_has_a_new_engine_and_loses_no_request(triton: RunningTriton) -> None:
    """Triton has both for a moment, and then ends the old one."""
    before = noted(triton.repository, "built")
    url = f"http://{triton.http_url}/v2/repository/models/{MODEL}/load"
    [file] = triton.repository.glob(f"{MODEL}/1/model.py")
    file.write_text(SHARING + "\n# changed, or Triton would not load it\n")

    async def load() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            (await client.post(url, headers=triton.http_admin, json={})).raise_for_status()

    loading, answers = asyncio.create_task(load()), []
    while not loading.done():
        answers += await ask(triton.grpc_url, 6)
    await loading
    deadline = time.monotonic() + 20
    while before & set(triton.stub_pids()):
        assert time.monotonic() < deadline, "the old instances live on"
        answers += await ask(triton.grpc_url, 6)
    assert set(answers + await ask(triton.grpc_url, 60)) == {"cat"}
    assert len(noted(triton.repository, "built") - before) == 1


async def test_without_the_one_that_has_the_engine_each_says_so(triton: RunningTriton) -> None:
    """The last of these tests: nobody heals this Triton."""
    [host] = noted(triton.repository, "built") & set(triton.stub_pids())
    os.kill(host, signal.SIGKILL)
    answers = await ask(triton.grpc_url, 30)
    assert "cat" not in answers
    assert any(
        "the instance that has the GPU is gone; the model has to be loaded anew" in one for one in answers
    )
    async with TritonClient.at(triton.grpc_url, "grpc") as client:
        with pytest.raises(ServerError):
            await client.detect(MODEL, picture(), timeout_s=20)


async def test_a_supervisor_heals_all_of_them_when_the_one_that_has_the_engine_is_killed(
    tmp_path: Path,
) -> None:
    models, told = built_in(tmp_path), []
    settings = EmbeddedSettings(
        crossfade_var=tmp_path / "var", triton_repository=models, triton_probe_interval_s=0.5,
        triton_probe_timeout_s=1.0, triton_http_port=0, triton_grpc_port=0, triton_metrics_port=0,
    )  # fmt: skip
    with TritonServer(settings, told.append) as server:
        url = server.running.grpc_url
        assert set(await ask(url, 30)) == {"cat"}
        [host] = noted(models, "built")
        os.kill(host, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(noted(models, "built")) < 2 or set(await ask(url, 30)) != {"cat"}:
            assert time.monotonic() < deadline, told
            await asyncio.sleep(0.3)
    assert any("it is loaded again" in one for one in told)
    assert len(noted(models, "built")) == 2
