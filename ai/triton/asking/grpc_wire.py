"""A Triton asked over gRPC: one channel, raw bytes in both directions.

The generated stub builds each request as a message and copies the picture three times. Here only the small
part is a message; protobuf reads two messages behind one another as one, so the picture is appended as it is.
"""

from __future__ import annotations

import asyncio
from functools import cache
from types import MappingProxyType
from typing import Any

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from ai.triton.asking.grpc_line import GrpcLine
from ai.triton.asking.protobuf_walk import raw_bytes
from ai.triton.asking.wire import (
    ADMIN_HEADER,
    MAX_ANSWER_BYTES,
    MAX_DESCRIPTION_BYTES,
    MAX_HEAD_BYTES,
    Action,
    Answer,
    Aspect,
    Json,
    Output,
    Question,
    fault,
    queue_timeout_us,
)
from ai.web.tracing import Headers

_SERVICE = "/inference.GRPCInferenceService/"
_RAW_INPUT = b"\x3a"  # the tag of ModelInferRequest.raw_input_contents: field 7, length-delimited
_TOO_LARGE = "Received message larger than max"  # what gRPC itself says here, with RESOURCE_EXHAUSTED
_INT32_MAX = 2**31 - 1

# Options given replace tritonclient's, message sizes among them. Back-off: gRPC's own, 1 s growing to 120 s, found
# a restarted Triton after 5.7 s; the longest wait, with its jitter of 20 %, stays under a second.
_OPTIONS = (
    ("grpc.max_send_message_length", _INT32_MAX),
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 800),
    ("grpc.use_local_subchannel_pool", 1),  # closing it closes its connections
    ("grpc.enable_http_proxy", 0),  # Triton is on loopback or a private network
)
_ROUND_ROBIN = ("grpc.lb_policy_name", "round_robin")
_MANY = ("dns:///", "ipv4:", "ipv6:")  # a target of these forms can mean several servers

_KINDS: MappingProxyType[grpc.StatusCode, type[BackendError]] = MappingProxyType(
    {
        grpc.StatusCode.OK: InvalidModelOutput,  # it ended well and answered nothing
        grpc.StatusCode.CANCELLED: ServerError,
        grpc.StatusCode.UNKNOWN: ServerError,
        grpc.StatusCode.INVALID_ARGUMENT: Refused,
        grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
        grpc.StatusCode.NOT_FOUND: ModelNotFound,
        grpc.StatusCode.ALREADY_EXISTS: ServerError,
        grpc.StatusCode.PERMISSION_DENIED: ServerError,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,  # a proxy's limit of requests
        grpc.StatusCode.FAILED_PRECONDITION: ServerError,
        grpc.StatusCode.ABORTED: ServerError,
        grpc.StatusCode.OUT_OF_RANGE: ServerError,
        grpc.StatusCode.UNIMPLEMENTED: ServerError,
        grpc.StatusCode.INTERNAL: ServerError,
        grpc.StatusCode.UNAVAILABLE: Unavailable,
        grpc.StatusCode.DATA_LOSS: ServerError,
        grpc.StatusCode.UNAUTHENTICATED: ServerError,
    }
)

_ASPECTS: MappingProxyType[Aspect, tuple[str, Any, Any]] = MappingProxyType(
    {
        "metadata": ("ModelMetadata", pb.ModelMetadataRequest, pb.ModelMetadataResponse),
        "config": ("ModelConfig", pb.ModelConfigRequest, pb.ModelConfigResponse),
        "statistics": ("ModelStatistics", pb.ModelStatisticsRequest, pb.ModelStatisticsResponse),
    }
)
_ACTIONS: MappingProxyType[Action, tuple[str, Any]] = MappingProxyType(
    {
        "load": ("RepositoryModelLoad", pb.RepositoryModelLoadRequest),
        "unload": ("RepositoryModelUnload", pb.RepositoryModelUnloadRequest),
    }
)


class GrpcWire:
    """Make it on the event loop that uses it. `dns:///host:port` takes turns over all of the host's addresses,
    `ipv4:1.2.3.4:8001,1.2.3.5:8001` over those."""

    def __init__(self, target: str, admin_key: str | None = None) -> None:
        _keep_grpc_awake()
        options = (*_OPTIONS, _ROUND_ROBIN) if target.startswith(_MANY) else _OPTIONS
        self._line = GrpcLine(target, options)
        self._admin: Headers = ((f"triton-grpc-protocol-{ADMIN_HEADER}", admin_key),) if admin_key else ()

    async def infer(self, question: Question, timeout_s: float) -> Answer:
        with self._line.asked():
            content = await self._call("ModelInfer", encode(question, timeout_s), timeout_s, question.headers)
            answer = decode(content)
            answer.require_is_to(question)
            return answer

    async def describe(self, aspect: Aspect, model: str, version: str, timeout_s: float) -> Json:
        method, request, _ = _ASPECTS[aspect]
        return table_of(aspect, await self._ask(method, request(name=model, version=version), timeout_s))

    async def is_model_ready(self, model: str, version: str, timeout_s: float) -> bool:
        content = await self._ask("ModelReady", pb.ModelReadyRequest(name=model, version=version), timeout_s)
        return bool(_message(pb.ModelReadyResponse, content).ready)

    async def repository_index(self, timeout_s: float) -> list[Json]:
        content = await self._ask("RepositoryIndex", pb.RepositoryIndexRequest(), timeout_s, self._admin)
        models: list[Json] = _table(pb.RepositoryIndexResponse, content).get("models", [])
        return models

    async def change_repository(self, action: Action, model: str, timeout_s: float) -> None:
        method, request = _ACTIONS[action]
        await self._ask(method, request(model_name=model), timeout_s, self._admin)

    async def close(self) -> None:
        await self._line.close()

    async def _ask(self, method: str, request: Any, timeout_s: float, headers: Headers = ()) -> bytes:
        with self._line.asked():
            return await self._call(method, request.SerializeToString(), timeout_s, headers)

    async def _call(self, method: str, request: bytes, timeout_s: float, headers: Headers) -> bytes:
        """The one place where gRPC's errors become ours. Their tracebacks go: they hold the call, and it the
        connection, for as long as somebody keeps the error, even when the channel is closed."""
        try:
            call = self._line.method(_SERVICE + method)
            content: bytes | None = await call(request, timeout=timeout_s, metadata=headers)
        except grpc.aio.AioRpcError as error:
            raise _fault(error, timeout_s) from error.with_traceback(None)
        except grpc.aio.BaseError as error:  # used after it was closed, or gRPC is at a loss
            raise Unavailable(
                f"The gRPC channel to Triton cannot be used: {error}"
            ) from error.with_traceback(None)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise error.with_traceback(None) from None
            error.__traceback__ = None
            raise Unavailable("The gRPC channel to Triton was closed while it was asked.") from None
        if content is None:
            raise InvalidModelOutput("Triton ended the call well and answered nothing.")
        return content


@cache
def _keep_grpc_awake() -> None:
    """With its last channel gRPC would end its own thread, and the event loop would stand still until that has let go
    of all that is under way. A process that has begun keeps it."""
    grpc.aio.init_grpc_aio()


def is_cancelled() -> bool:
    """Whether this task is; gRPC raises CancelledError as well when its channel is closed under a call."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _fault(error: grpc.aio.AioRpcError, timeout_s: float) -> BackendError:
    status, text = error.code(), error.details() or ""
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"Triton did not answer within {timeout_s:.3g} s.")
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in text:
        return InvalidModelOutput(f"Triton's answer is too large: {text}")
    return fault(_KINDS[status], status.name, text)


def encode(question: Question, timeout_s: float) -> bytes:
    """A ModelInferRequest as bytes."""
    head = pb.ModelInferRequest(model_name=question.model, id=question.request_id)
    head.inputs.add(name=question.input_name, datatype=question.datatype, shape=question.shape)
    for name in question.outputs:
        head.outputs.add(name=name)
    head.parameters["timeout"].int64_param = queue_timeout_us(timeout_s)
    if question.priority:
        head.parameters["priority"].uint64_param = question.priority
    return b"".join((head.SerializeToString(), _RAW_INPUT, _varint(len(question.data)), question.data))


def decode(content: bytes) -> Answer:
    """A ModelInferResponse unpacked; nothing is believed of it but that it is one."""
    if len(content) > MAX_HEAD_BYTES and len(content) - raw_bytes(content) > MAX_HEAD_BYTES:
        raise InvalidModelOutput(f"Triton's answer of {len(content):,} bytes is not made of tensors.")
    message = _message(pb.ModelInferResponse, content)
    declared, contents = message.outputs, message.raw_output_contents
    if len(declared) != len(contents):
        raise InvalidModelOutput(f"Triton declares {len(declared)} outputs and sends {len(contents)}.")
    outputs = {
        output.name: Output(output.datatype, tuple(output.shape), data)
        for output, data in zip(declared, contents, strict=True)
    }
    if len(outputs) != len(declared):
        raise InvalidModelOutput("Triton sends two outputs of one name.")
    return Answer(message.model_version, outputs, message.id)


def table_of(aspect: Aspect, content: bytes) -> Json:
    """What Triton says of a model, as its HTTP API words it."""
    table = _table(_ASPECTS[aspect][2], content)
    config: Json = table.get("config", {})
    return config if aspect == "config" else table


def _message(kind: Any, content: bytes) -> Any:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise InvalidModelOutput(f"Triton's answer is no {kind.DESCRIPTOR.name}: {error}") from error


def _table(kind: Any, content: bytes) -> Json:
    if len(content) > MAX_DESCRIPTION_BYTES:
        raise InvalidModelOutput(f"Triton describes its models in {len(content):,} bytes.")
    table: Json = MessageToDict(_message(kind, content), preserving_proto_field_name=True)
    return table


def _varint(number: int) -> bytes:
    """https://protobuf.dev/programming-guides/encoding/#varints"""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
