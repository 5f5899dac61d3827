"""HTTP servers for tests on free loopback ports: a real app in a thread, and one as dishonest as it is told to be."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import psutil
import uvicorn

from ai.core.spec import DetectorSpec
from ai.serving.app import create_app
from ai.serving.settings import ServiceSettings
from tests.services import free_port

START_TIMEOUT_S = 30
HANG_S = 60.0  # no hang of a test lasts longer than this


@contextmanager
def serving_app(app: Any, port: int | None = None) -> Iterator[str]:
    """The app's address, while uvicorn serves it on an event loop of its own."""
    port = port or free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        ends_at = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            assert time.monotonic() < ends_at, "uvicorn did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


# --- a real legacy service, with a model that waits when it is told to ----------------------------------------

SPEC = DetectorSpec(
    name="scripted", title="Scripted", input_name="images", input_width=64, input_height=64, fit="stretch",
    output_name="rows", max_detections=5, score_floor=0.05, labels=("cat", "dog"),
)  # fmt: skip


@dataclass
class ScriptedEngine:
    device: str = "cpu"
    go: threading.Event = field(default_factory=threading.Event)
    loaded: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go.set()
        self.loaded.set()

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        self.go.wait(HANG_S)
        rows = np.full((len(pixels), SPEC.max_detections, 6), -1, np.float32)
        rows[:, 0] = 8, 8, 24, 56, 0.5, 1
        rows[:, 1] = 16, 16, 48, 32, 0.75, 0
        return rows


@contextmanager
def legacy_service(engine: ScriptedEngine, max_in_flight: int = 64) -> Iterator[str]:
    """The same app as `python -m ai.yolo26.service`."""

    def load() -> ScriptedEngine:
        engine.loaded.wait(HANG_S)
        return engine

    settings = ServiceSettings(port=1, weights="scripted", max_in_flight=max_in_flight)
    with serving_app(create_app(SPEC, load, settings)) as url:
        try:
            if engine.loaded.is_set():
                _wait_until_ready(url)
            yield url
        finally:
            engine.go.set()
            engine.loaded.set()


def _wait_until_ready(url: str) -> None:
    ends_at = time.monotonic() + START_TIMEOUT_S
    while health_of(url)["status"] != "healthy":
        assert time.monotonic() < ends_at, "the service was never ready"
        time.sleep(0.01)


def health_of(url: str) -> dict[str, Any]:
    health: dict[str, Any] = httpx.get(f"{url}/health", timeout=10, trust_env=False).json()
    return health


# --- a server that does what it likes with a request ------------------------------------------------------

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    url: str
    behave: Behaviour
    head: bytes = b""  # of the latest request
    body: bytes = b""
    connections: int = 0  # open ones

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.head = await reader.readuntil(b"\r\n\r\n")
                self.body = await reader.readexactly(_length(self.head))
                await self.behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            writer.close()


@asynccontextmanager
async def raw_server(behave: Behaviour) -> AsyncIterator[RawServer]:
    raw = RawServer("", behave)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()


def says(reply: bytes) -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()

    return behave


def hangs_up_after(reply: bytes) -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        raise ConnectionError

    return behave


def half_closes_after(reply: bytes) -> Behaviour:
    """It says that it has said all, and goes on listening."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.write_eof()
        await reader.read()
        raise ConnectionError

    return behave


def drips(reply: bytes, every_s: float = 1.0) -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in reply:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every_s)

    return behave


def floods(head: bytes, part: bytes) -> Behaviour:
    """Without end."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()

    return behave


async def hangs(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()
    raise ConnectionError


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


# --- what a client leaves behind ----------------------------------------------------------------------------


def sockets_to(url: str) -> int:
    """How many connections this process holds to the server at `url` or host:port."""
    port = int(url.rsplit(":", 1)[1])
    open_ones = psutil.Process().net_connections(kind="tcp")
    return sum(1 for one in open_ones if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED")


async def until(holds: Callable[[], bool], why: str, timeout_s: float = 10.0) -> None:
    ends_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < ends_at, why
        await asyncio.sleep(0.01)
