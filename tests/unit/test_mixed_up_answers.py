"""An answer to another question is nobody's: a line that says things twice must not show a caller another's picture."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from tritonclient.grpc import service_pb2 as pb

from ai.core.errors import BackendError, InvalidModelOutput, Unavailable
from ai.core.sample import sample_jpeg
from ai.triton.asking.grpc_wire import GrpcWire
from ai.triton.asking.http_wire import HttpWire
from ai.triton.asking.wire import Question
from backend.transports.base import Ask
from backend.transports.legacy import LegacyTransport
from tests.http_servers import Behaviour, ScriptedEngine, legacy_service, raw_server, sockets_to, until
from tests.liars import GrpcLiar, http, http_reply

Say = Callable[[bytes], bytes]


def question(name: str) -> Question:
    return Question("m", "image", "UINT8", (1, 3), b"abc", (), request_id=name)


# --- servers that answer with the name of the question ------------------------------------------------------


def of_triton(head: bytes, body: bytes) -> bytes:
    size = int(re.search(rb"(?i)inference-header-content-length: (\d+)", head)[1])
    return http_reply(said(json.loads(body[:size])["id"]), Connection="keep-alive")


def said(name: str, request_id: str | None = None) -> pb.ModelInferResponse:
    response = pb.ModelInferResponse(
        model_name="m", model_version="1", id=name if request_id is None else request_id
    )
    response.outputs.add(name="said", datatype="BYTES", shape=[1])
    response.raw_output_contents.append(name.encode())
    return response


def of_legacy(head: bytes, names_it: bool = True) -> bytes:
    name = re.search(rb"(?i)crossfade-question: (\S+)", head)[1].decode()
    found = {
        "class": name, "class_id": 1, "confidence": 0.75, "bbox": {"x": 1, "y": 2, "width": 3, "height": 4},
    }  # fmt: skip
    document = {"detections": [found], "image_width": 64, "image_height": 64, "inference_time_ms": 1.0}
    echoed = {"Crossfade_Question": name} if names_it else {}
    return http(json.dumps(document).encode(), **{"Connection": "keep-alive", **echoed})


def twice_at_once(answered: Callable[[], bytes]) -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answered() * 2)
        await writer.drain()

    return behave


def once_more_when_asked_again(answered: Callable[[], bytes]) -> Behaviour:
    """The second time it comes when the next question was sent: nothing shows it before."""
    before: list[bytes] = []

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = answered()
        writer.write(b"".join(before) + now)
        before[:] = [now]
        await writer.drain()

    return behave


TWICE = [twice_at_once, once_more_when_asked_again]


async def outcomes(ask: Callable[[str], Any], names: str = "abcdefgh") -> dict[str, str | BackendError]:
    """What each was told, one after the other."""
    told: dict[str, str | BackendError] = {}
    for name in names:
        try:
            told[name] = await ask(name)
        except BackendError as error:
            told[name] = error
    return told


def served(told: dict[str, str | BackendError]) -> dict[str, str]:
    return {name: one for name, one in told.items() if isinstance(one, str)}


@pytest.mark.parametrize("twice", TWICE)
async def test_over_http_nobody_gets_anothers_answer_and_the_line_is_left(twice) -> None:
    async with raw_server(lambda *_: None) as server:
        server.behave = twice(lambda: of_triton(server.head, server.body))
        wire = HttpWire(server.url)

        async def ask(name: str) -> str:
            return (await wire.infer(question(name), 10)).outputs["said"].data.decode()

        told = await outcomes(ask)
        assert served(told) == {name: name for name in served(told)}
        assert served(told)
        server.behave = simply(lambda: of_triton(server.head, server.body))
        await outcomes(ask, "ij")
        assert served(await outcomes(ask, "klm")) == {"k": "k", "l": "l", "m": "m"}
        await wire.close()
        await until(lambda: sockets_to(server.url) == 0, "a bad line is kept")


@pytest.mark.parametrize(
    ("twice", "names_it"), [*((one, True) for one in TWICE), (twice_at_once, False)]
)  # a second copy that is late and names no question cannot be told from the right answer
async def test_legacy_gives_nobody_anothers_answer_and_the_line_is_left(twice, names_it) -> None:
    async with raw_server(lambda *_: None) as server:
        server.behave = twice(lambda: of_legacy(server.head, names_it))
        transport = LegacyTransport({"rtdetr": server.url})

        async def ask(name: str) -> str:
            found = await transport.detect(Ask("rtdetr", b"picture", 10, request_id=name))
            return found.detections.items[0].label

        told = await outcomes(ask)
        assert served(told) == {name: name for name in served(told)}
        assert served(told)
        server.behave = simply(lambda: of_legacy(server.head, names_it))
        await outcomes(ask, "ij")
        assert served(await outcomes(ask, "klm")) == {"k": "k", "l": "l", "m": "m"}
        await transport.close()


def simply(answered: Callable[[], bytes]) -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answered())
        await writer.drain()

    return behave


async def test_an_answer_that_was_there_before_the_question_is_a_broken_line() -> None:
    async with raw_server(lambda *_: None) as server:
        server.behave = twice_at_once(lambda: of_legacy(server.head, names_it=False))
        transport = LegacyTransport({"rtdetr": server.url})
        await transport.detect(Ask("rtdetr", b"picture", 10, request_id="a"))
        with pytest.raises(Unavailable, match="before it was asked"):
            await transport.detect(Ask("rtdetr", b"picture", 10, request_id="b"))
        await transport.close()


def test_the_legacy_service_names_the_question_on_whatever_it_answers() -> None:
    engine = ScriptedEngine()
    with legacy_service(engine) as url:
        for content, status in ((sample_jpeg(), 200), (b"no picture", 400)):
            headers = {"Content-Type": "image/jpeg", "Crossfade-Question": f"of-{status}"}
            reply = httpx.post(f"{url}/detect", content=content, headers=headers, timeout=30, trust_env=False)
            assert (reply.status_code, reply.headers["crossfade-question"]) == (status, f"of-{status}")
        for unnamed in ({}, {"Crossfade-Question": "x" * 1000}):
            reply = httpx.get(f"{url}/health", headers=unnamed, timeout=30, trust_env=False)
            assert "crossfade-question" not in reply.headers


@pytest.fixture
async def liar() -> AsyncIterator[tuple[GrpcLiar, GrpcWire]]:
    liar = GrpcLiar()
    wire = GrpcWire(await liar.start())
    yield liar, wire
    await wire.close()
    await liar.stop()


async def test_over_grpc_the_answer_to_another_question_is_refused(liar) -> None:
    server, wire = liar
    server.say(said("box", "mine"))
    assert (await wire.infer(question("mine"), 10)).outputs["said"].data == b"box"
    for other in ("another", ""):
        server.say(said("box", other))
        with pytest.raises(InvalidModelOutput, match="another question"):
            await wire.infer(question("mine"), 10)


async def test_a_grpc_call_that_ends_well_without_an_answer_is_one_of_our_errors() -> None:
    """What is left where the frame of the answer was lost, and that of the good ending was not."""

    async def nothing(_: bytes, __: Any) -> AsyncIterator[bytes]:
        return
        yield b""

    server = grpc.aio.server()
    handlers = {"ModelInfer": grpc.unary_stream_rpc_method_handler(nothing)}
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    wire = GrpcWire(f"127.0.0.1:{port}")
    try:
        with pytest.raises(InvalidModelOutput, match="answered nothing"):
            await wire.infer(question("a"), 10)
    finally:
        await wire.close()
        await server.stop(None)
