"""A gRPC connection that fell silent is left for another; one that is merely slow, or full, is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from ai.core.errors import BackendError, DeadlineExceeded
from ai.triton.asking import grpc_line
from ai.triton.asking.grpc_wire import GrpcWire
from ai.triton.asking.wire import Question
from tests.fault_proxy import FaultProxy, Lose, running_proxy
from tests.http_servers import sockets_to, until
from tests.liars import ENCODED, answer

PATIENCE_S = 30.0
SILENT_S = 0.2
QUESTION = Question(ENCODED, "image", "UINT8", (1, 3), b"abc", ())


class Server:
    """Answers when it is let; `status` is what it says in place of an answer."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.status: grpc.StatusCode | None = None
        self.asked = 0

    async def start(self) -> int:
        self._server = grpc.aio.server()
        handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer)}
        service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)
        self._server.add_generic_rpc_handlers((service,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return int(port)

    async def stop(self) -> None:
        self.open.set()
        await self._server.stop(None)

    async def _infer(self, _: bytes, context: Any) -> bytes:
        self.asked += 1
        await self.open.wait()
        if self.status is not None:
            await context.abort(self.status, "planned")
        return answer().SerializeToString()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    yield server
    await server.stop()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[FaultProxy]:
    with running_proxy("127.0.0.1", await server.start()) as proxy:
        yield proxy


@pytest.fixture
async def wire(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GrpcWire]:
    monkeypatch.setattr(grpc_line, "SILENT_S", SILENT_S)
    wire = GrpcWire(proxy.address)
    await wire.infer(QUESTION, PATIENCE_S)
    yield wire
    await wire.close()
    await until(lambda: sockets_to(proxy.url) == 0, "a connection is left")


async def failed(wire: GrpcWire, timeout_s: float = SILENT_S / 2) -> BackendError:
    with pytest.raises(BackendError) as raised:
        await wire.infer(QUESTION, timeout_s)
    return raised.value


async def connections(proxy: FaultProxy) -> int:
    return (await asyncio.to_thread(lambda: proxy.counts))["connections"]


async def test_a_connection_that_fell_silent_is_left(proxy: FaultProxy, wire: GrpcWire) -> None:
    proxy.behave(Lose())
    assert isinstance(await failed(wire), DeadlineExceeded)
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        try:
            await wire.infer(QUESTION, SILENT_S / 2)
            break
        except DeadlineExceeded:
            continue
    assert await connections(proxy) == 2


async def test_whoever_is_cancelled_tells_of_silence_too(proxy: FaultProxy, wire: GrpcWire) -> None:
    proxy.behave(Lose())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * SILENT_S):
            await wire.infer(QUESTION, PATIENCE_S)
    await wire.infer(QUESTION, PATIENCE_S)
    assert await connections(proxy) == 2


@pytest.mark.parametrize(
    "status", [None, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT]
)
async def test_a_connection_that_says_anything_good_is_kept(
    proxy: FaultProxy, server: Server, wire: GrpcWire, status: grpc.StatusCode | None
) -> None:
    server.status = status
    ends_at = time.monotonic() + 3 * SILENT_S
    while time.monotonic() < ends_at:
        if status is None:
            await wire.infer(QUESTION, PATIENCE_S)
        else:
            assert not (await failed(wire, PATIENCE_S)).counts_against_backend
        await asyncio.sleep(SILENT_S / 10)
    assert await connections(proxy) == 1


async def test_after_a_rest_nobody_takes_it_for_silence(
    proxy: FaultProxy, server: Server, wire: GrpcWire
) -> None:
    await asyncio.sleep(2 * SILENT_S)
    server.status = grpc.StatusCode.INTERNAL
    await failed(wire, PATIENCE_S)
    assert await connections(proxy) == 1


async def test_what_is_under_way_on_a_connection_that_is_left_is_answered(
    proxy: FaultProxy, server: Server, wire: GrpcWire
) -> None:
    server.open.clear()
    early = asyncio.create_task(wire.infer(QUESTION, PATIENCE_S))
    await until(lambda: server.asked == 2, "it was not asked")
    await failed(wire, 2 * SILENT_S)
    server.open.set()
    assert (await wire.infer(QUESTION, PATIENCE_S)).model_version == "1"
    assert (await early).model_version == "1"
    assert await connections(proxy) == 2


async def test_closing_ends_what_is_under_way_on_those_that_were_left(server: Server, wire: GrpcWire) -> None:
    server.open.clear()
    early = asyncio.create_task(wire.infer(QUESTION, PATIENCE_S))
    await until(lambda: server.asked == 2, "it was not asked")
    await failed(wire, 2 * SILENT_S)
    await wire.close()
    with pytest.raises(BackendError):
        await early
