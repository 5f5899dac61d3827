"""Kubernetes' probes of Triton on a real one, run as the pod runs them: the dead is found, the busy is not killed."""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests import scripted
from tests.manifests import K8S
from tests.scripted import LONE, client_of, occupied
from tests.services import free_port
from tests.tritons import RunningTriton, running_triton

READY = K8S.parent / "docker" / "inference.py", "triton"
LIVES = (K8S / "base" / "core" / "triton_lives.py",)


@pytest.fixture(scope="module")
def triton(tmp_path_factory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    scripted.jpeg(repository, LONE)
    with running_triton(repository) as server:
        yield server
        server.kill()


def _fails(probe: tuple[Path | str, ...], url: str, *models: str) -> bool:
    environment = {**os.environ, "PYTHONPATH": f"{READY[0].parent}:{K8S.parents[1]}"}
    words = [sys.executable, *map(str, probe), url, *models]
    return (
        subprocess.run(words, env=environment, capture_output=True, timeout=60, check=False).returncode != 0
    )


def test_a_triton_that_answers_is_ready_and_lives(triton):
    url = f"http://{triton.http_url}"
    assert not _fails(READY, url, LONE)
    assert not _fails(LIVES, url, LONE)


def test_one_that_is_not_there_is_not_ready_and_no_probe_of_ours_kills_it(triton):
    """Starting, or loading; a process that has ended Kubernetes sees by itself."""
    for url, model in ((f"http://127.0.0.1:{free_port()}", LONE), (f"http://{triton.http_url}", "nobody")):
        assert _fails(READY, url, model)
        assert not _fails(LIVES, url, model)


async def test_one_that_is_busy_for_longer_than_a_probe_waits_is_not_killed(triton, lives, tmp_path):
    client = client_of(triton, "grpc")
    async with occupied(triton, client, tmp_path):
        assert not await asyncio.to_thread(lives.fails_inside, f"http://{triton.http_url}", LONE)
        assert await asyncio.to_thread(_is_late, f"http://{triton.http_url}")
    await client.close()


def test_one_that_is_dead_and_calls_itself_ready_is_found_by_both(triton):
    """The last of these tests: nobody heals this Triton."""
    (stub,) = triton.stub_pids()
    os.kill(stub, signal.SIGKILL)
    url = f"http://{triton.http_url}"
    assert httpx.get(f"{url}/v2/health/ready", timeout=10, trust_env=False).status_code == 200
    assert httpx.get(f"{url}/v2/models/{LONE}/ready", timeout=10, trust_env=False).status_code == 200
    assert _fails(READY, url, LONE)
    assert _fails(LIVES, url, LONE)


@pytest.fixture
def lives(monkeypatch) -> SimpleNamespace:
    """In this process, with less patience."""
    monkeypatch.syspath_prepend(str(READY[0].parent))
    found = runpy.run_path(str(LIVES[0]))
    monkeypatch.setattr(sys.modules["inference"], "TIMEOUT_S", 0.3)
    return SimpleNamespace(**found)


def _is_late(url: str) -> bool:
    try:
        sys.modules["inference"].ask_triton(url, LONE)
    except TimeoutError:
        return True
    return False
