"""The whole API on scripted sides: in this process for httpx, or behind a real uvicorn on a free port."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from ai.web.heads import BoundedHeads
from backend.main import create_app
from backend.settings import Settings
from backend.sides import LEGACY, TRITON
from backend.transports.fake import FakeTransport

KEYS = "cam:caller:caller-key,eye:viewer:viewer-key,ops:admin:admin-key"
ADMIN = {"X-API-Key": "admin-key"}
VIEWER = {"X-API-Key": "viewer-key"}
CALLER = {"X-API-Key": "caller-key"}
JPEG = {"content-type": "image/jpeg"}


def settings_of(var: Path, **overrides: Any) -> Settings:
    """An admin's and a viewer's key, and detection open to anybody, unless told otherwise."""
    given = {"api_keys": "eye:viewer:viewer-key,ops:admin:admin-key", "rollout_store": "memory:"}
    return Settings(_env_file=None, crossfade_var=var, **(given | overrides))


def ramped_settings_of(var: Path, **overrides: Any) -> Settings:
    """On a store of its own in a file, and looked at as rarely as can be: a test says itself what a look said."""
    given = {"rollout_store": f"sqlite:///{var / 'crossfade.db'}", "ramp_look_s": 3600.0}
    return settings_of(var, **(given | overrides))


def sides_of(legacy: FakeTransport | None = None) -> dict[Any, FakeTransport]:
    return {LEGACY: legacy or FakeTransport(), TRITON: FakeTransport()}


@asynccontextmanager
async def asked_in_process(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """What the app raises becomes its 500, as behind a server."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client


@dataclass(frozen=True)
class Running:
    app: FastAPI
    port: int
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, **what: Any) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", timeout=30, trust_env=False, **what)

    def get(self, path: str, **what: Any) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30, trust_env=False, **what)

    def line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def raw(self, request: bytes) -> bytes:
        """All that comes back until the server hangs up, or a whole answer has come."""
        with self.line() as line:
            line.sendall(request)
            return read_answer(line)

    @property
    def held_bytes(self) -> int:
        return self.app.state.parts.budget.used

    def wait_until_nothing_is_held(self, timeout_s: float = 10) -> None:
        deadline = time.monotonic() + timeout_s
        while self.held_bytes:
            assert time.monotonic() < deadline, f"{self.held_bytes:,} bytes of bodies are still held"
            time.sleep(0.01)


def read_answer(line: socket.socket) -> bytes:
    """Head and body may come apart; every document of ours ends with a brace."""
    answer = b""
    while not answer.endswith(b"}") and (chunk := line.recv(65536)):
        answer += chunk
    return answer


@contextmanager
def running(settings: Settings, sides: dict[Any, FakeTransport], port: int = 0) -> Iterator[Running]:
    app = create_app(settings, sides)
    config = uvicorn.Config(
        app, port=port, loop="uvloop", http=BoundedHeads, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        port = _port_of(server)
        yield Running(app, port, server.servers[0].get_loop())
    finally:
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive(), "the server did not end"


def _port_of(server: uvicorn.Server) -> int:
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    return int(server.servers[0].sockets[0].getsockname()[1])
