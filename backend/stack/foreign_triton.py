"""Whether a Triton that we did not build serves our client: each call that it makes is made, and what came of it told.

A version number proves nothing: a Triton without an extension, behind a proxy that passes HTTP/1 only, or with another
model than its name says, is found by asking. The administrator's calls are not made; only `crossfade up` needs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

import grpc.aio
import httpx
from tritonclient.grpc import service_pb2 as pb

from ai.core.errors import BackendError, CrossfadeError
from ai.core.sample import sample_jpeg
from ai.triton.client import Protocol, TritonClient
from backend.stack.health import LOOK_TIMEOUT_S

ANSWER_S = 30.0  # a first inference may have to warm up
_CALL_S = ANSWER_S + 5.0  # the client's own limit first: it has the better words
NEEDED = ("statistics", "model_configuration")
NEEDED_OVER_HTTP = ("binary_tensor_data",)
_METADATA = "/inference.GRPCInferenceService/ServerMetadata"


@dataclass(frozen=True, slots=True)
class Seen:
    about: str
    well: bool
    words: str


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    version: str
    extensions: tuple[str, ...]


async def examine(target: str, protocol: Protocol, models: Sequence[str]) -> AsyncIterator[Seen]:
    """What does not answer at all is the last thing told."""
    yield Seen(
        "client", True, f"tritonclient {version('tritonclient')}, grpcio {version('grpcio')}, over {protocol}"
    )
    try:
        require_port(target)
        async with within(LOOK_TIMEOUT_S):
            server = await (_over_grpc(target) if protocol == "grpc" else _over_http(target))
    except (grpc.aio.AioRpcError, httpx.HTTPError, httpx.InvalidURL, ValueError, CrossfadeError) as error:
        yield Seen("server", False, f"{target} does not say who it is over {protocol}: {_first_line(error)}")
        return
    yield Seen("server", True, f"{server.name} {server.version}")
    needed = NEEDED + (NEEDED_OVER_HTTP if protocol == "http" else ())
    missing = [name for name in needed if name not in server.extensions]
    yield Seen("extensions", not missing, f"missing: {', '.join(missing)}" if missing else ", ".join(needed))
    async with TritonClient.at(target, protocol) as client:
        for model in models:
            async for seen in _model(client, model):
                yield seen


async def _model(client: TritonClient, model: str) -> AsyncIterator[Seen]:
    """In the order in which a first request makes these calls; after one that fails the rest would fail too."""
    calls: tuple[tuple[str, Callable[[], Awaitable[str]]], ...] = (
        ("ready", lambda: _ready(client, model)),
        ("metadata", lambda: _versions(client, model)),
        ("inference", lambda: _detected(client, model)),
        ("statistics", lambda: _counted(client, model)),
    )
    for name, call in calls:
        try:
            async with within(_CALL_S):
                words = await call()
            yield Seen(model, True, f"{name}: {words}")
        except (BackendError, CrossfadeError) as error:
            yield Seen(model, False, f"{name}: {error}")
            return


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """All of it: a server that sends a byte now and then is never late by the library's own clock."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise CrossfadeError(f"not all of the answer came within {seconds:g} s") from error


def require_port(target: str) -> None:
    """ValueError for one that cannot be, which each library raises in a way of its own."""
    _ = urlsplit(f"//{target}").port


async def _ready(client: TritonClient, model: str) -> str:
    if not await client.is_model_ready(model):
        raise CrossfadeError("it says itself that it is not")
    return "it says so"


async def _versions(client: TritonClient, model: str) -> str:
    found = await client.model_metadata(model)
    return f"version {', '.join(found.versions)}, {found.platform or 'no platform named'}"


async def _detected(client: TritonClient, model: str) -> str:
    """A drawn scene, all the way through."""
    detected = await client.detect(model, sample_jpeg(), timeout_s=ANSWER_S)
    return (
        f"{len(detected.detections.items)} detections in the drawn scene, by version {detected.model_version}"
    )


async def _counted(client: TritonClient, model: str) -> str:
    return f"{sum(one.inference_count for one in await client.statistics(model))} pictures so far"


async def _over_grpc(target: str) -> Server:
    async with grpc.aio.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        ask = channel.unary_unary(
            _METADATA,
            request_serializer=pb.ServerMetadataRequest.SerializeToString,
            response_deserializer=pb.ServerMetadataResponse.FromString,
        )
        told = await ask(pb.ServerMetadataRequest(), timeout=LOOK_TIMEOUT_S)
    return Server(told.name, told.version, tuple(told.extensions))


async def _over_http(target: str) -> Server:
    async with httpx.AsyncClient(trust_env=False, timeout=LOOK_TIMEOUT_S) as http:
        told = (await http.get(f"http://{target}/v2")).raise_for_status().json()
    match told:
        case {"name": str(name), "version": str(number), "extensions": list(extensions)}:
            return Server(name, number, tuple(map(str, extensions)))
    raise ValueError("what answers there is no table of name, version and extensions")


def _first_line(error: Exception) -> str:
    words = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
    return (words or type(error).__name__).splitlines()[0]


def examined(target: str, protocol: Protocol, models: Sequence[str]) -> list[Seen]:
    async def run() -> list[Seen]:
        return [seen async for seen in examine(target, protocol, models)]

    return asyncio.run(run())
