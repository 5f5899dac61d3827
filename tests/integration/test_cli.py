"""The `crossfade` command on this machine: up, status, detect, down, and what it says when something is wrong."""

from __future__ import annotations

import concurrent.futures
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ai.core.sample import SAMPLE
from tests.services import free_port


@pytest.fixture
def crossfade(tmp_path):
    """Runs the command with ports and a working folder of its own; ends whatever it left running."""
    variables = {
        **os.environ,
        "RTDETR_URL": f"http://localhost:{free_port()}",
        "YOLO26_URL": f"http://localhost:{free_port()}",
        "CROSSFADE_VAR": str(tmp_path),
        "HTTP_PROXY": "http://127.0.0.1:9",  # a proxy is not for services on this machine
    }

    def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("crossfade"), *arguments]
        return subprocess.run(
            command, env={**variables, **changed}, capture_output=True, text=True, timeout=110, check=False
        )

    run.urls = (variables["RTDETR_URL"], variables["YOLO26_URL"])
    yield run
    run("down")


def test_up_starts_both_services_and_shows_what_they_find_and_down_ends_them(crossfade):
    """The newcomer's five minutes: one command, and both detectors name the objects of a drawn scene."""
    up = crossfade("up", "--detach")
    assert up.returncode == 0, up.stderr
    assert up.stdout.count("person") >= 2
    assert up.stdout.count("car") >= 2
    assert all(url in up.stdout for url in crossfade.urls)

    status = crossfade("status")
    assert status.returncode == 0
    assert status.stdout.count("healthy") == 2

    seen = crossfade("detect", str(SAMPLE), "--detector", "yolo26")
    assert seen.returncode == 0
    assert "person" in seen.stdout
    bad = crossfade("detect", __file__)
    assert bad.returncode == 1
    assert "expected JPEG, PNG or WebP" in bad.stderr

    again = crossfade("up", "--detach")
    assert again.returncode == 1
    assert "was started before" in again.stderr
    assert "crossfade down" in again.stderr
    assert httpx.get(crossfade.urls[0] + "/health").status_code == 200

    down = crossfade("down")
    assert down.returncode == 0
    assert down.stdout.count("ended") == 2
    for url in crossfade.urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url + "/health")
    assert crossfade("status").returncode == 1


def test_down_and_status_without_anything_running(crossfade):
    assert "Nothing was running" in crossfade("down").stdout
    status = crossfade("status")
    assert status.returncode == 1
    assert status.stdout.count("unreachable") == 2


def test_a_service_that_cannot_start_is_told_and_nothing_stays(crossfade):
    up = crossfade("up", YOLO26_WEIGHTS="/nowhere.pt")
    assert up.returncode == 1
    assert "YOLO26_WEIGHTS='/nowhere.pt': no such file" in up.stderr
    for url in crossfade.urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url + "/health")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("RTDETR_URL", "localhost", "RTDETR_URL='localhost'"),
        ("RTDETR_URL", "http://localhost:abc", "RTDETR_URL='http://localhost:abc'"),
        ("YOLO26_URL", "http://localhost:99999", "YOLO26_URL='http://localhost:99999'"),
        ("START_TIMEOUT_S", "0", "START_TIMEOUT_S='0'"),
    ],
)
def test_a_bad_setting_is_one_line(crossfade, variable, value, told):
    status = crossfade("status", **{variable: value})
    assert status.returncode == 1
    assert told in status.stderr
    assert len(status.stderr.splitlines()) == 1


def test_two_starts_at_once_leave_one_stack_that_down_knows(crossfade):
    """Neither ends what the other began, and nothing is orphaned."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ups = [pool.submit(crossfade, "up", "--detach") for _ in range(2)]
        codes = sorted(up.result().returncode for up in ups)
    assert codes == [0, 1]
    assert crossfade("status").returncode == 0
    assert crossfade("down").stdout.count("ended") == 2


def test_an_address_elsewhere_is_not_started_here(crossfade):
    up = crossfade("up", RTDETR_URL="http://10.0.0.7:8090")
    assert up.returncode == 1
    assert "RTDETR_URL=http://10.0.0.7:8090 is not on this machine" in up.stderr


def test_a_port_that_another_program_holds_is_told(crossfade):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        up = crossfade("up", RTDETR_URL=f"http://localhost:{port}")
    assert up.returncode == 1
    assert f"port {port} is taken" in up.stderr


@pytest.mark.parametrize("by", ["signal", "down elsewhere"])
def test_an_up_that_is_ended_leaves_nothing_and_calls_nothing_a_failure(crossfade, tmp_path, by):
    """SIGTERM to the command in the foreground, or `crossfade down` in another terminal."""
    urls = dict(zip(("RTDETR_URL", "YOLO26_URL"), crossfade.urls, strict=True))
    variables = {**os.environ, **urls, "CROSSFADE_VAR": str(tmp_path)}
    command = [Path(sys.executable).with_name("crossfade"), "up"]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "Ctrl-C ends them" in line:
            break
    if by == "signal":
        process.terminate()
    else:
        assert crossfade("down").returncode == 0
    rest = process.stdout.read()
    assert process.wait(60) == (130 if by == "signal" else 0), rest
    for url in crossfade.urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url + "/health")
