"""Told nothing, every server of ours listens on this machine alone.

Triton's three ports, and that what loads models is locked: tests/integration/test_triton_server.py. The legacy services
with their models: tests/integration/test_services.py. What is published by a deployment: test_compose.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from ai.serving.settings import ServiceSettings
from backend.settings import Settings
from tests.backends import Backend

ROOT = Path(__file__).parents[2]
LOOPBACK = {"127.0.0.1", "::1"}


def test_a_backend_that_is_told_nothing_listens_on_loopback(alone: Backend) -> None:
    process = psutil.Process(alone.pid)
    listening = [
        one.laddr.ip
        for part in (process, *process.children(recursive=True))
        for one in part.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= LOOPBACK


@pytest.mark.parametrize("tree", [Settings, ServiceSettings])
def test_the_default_is_loopback(tree) -> None:
    assert tree.model_fields["host"].default in LOOPBACK


def test_nobody_else_in_our_code_listens() -> None:
    """Servers are made in these files and no others; those that ask whether a port is free never listen at it."""
    makes = re.compile(
        r"uvicorn\.run\(\n|uvicorn\.Server|\.bind\(|\.listen\(|HTTPServer|start_server|create_server|serve_forever"
    )
    making = {
        str(path.relative_to(ROOT))
        for folder in ("ai", "backend", "monitoring")
        for path in (ROOT / folder).rglob("*.py")
        if makes.search(path.read_text())
    }
    assert making == {"backend/serve.py", "ai/serving/run.py", SHARING} | PROBES


SHARING = "ai/triton/inside/gpu_sharing.py"  # among the processes of one model


def test_what_the_processes_of_a_model_say_to_each_other_leaves_no_machine() -> None:
    """That another user is refused: tests/unit/test_gpu_sharing.py."""
    sockets = re.findall(r"socket\.socket\((.*?)\)", (ROOT / SHARING).read_text())
    assert sockets
    assert set(sockets) == {"socket.AF_UNIX"}


PROBES = {
    "ai/triton/embedded/ports.py",
    "backend/stack/ports.py",
    "backend/doctor/machine.py",
}  # whether a port is free


@pytest.mark.parametrize("path", sorted(PROBES))
def test_who_asks_whether_a_port_is_free_never_listens(path: str) -> None:
    assert ".bind(" in (ROOT / path).read_text()
    assert ".listen(" not in (ROOT / path).read_text()
