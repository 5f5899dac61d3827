"""A Triton asked over HTTP: binary tensors, one pool of connections, one deadline for an exchange."""

from __future__ import annotations

import json
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import httpcore

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
from ai.triton.asking import http_body
from ai.triton.asking.wire import (
    ADMIN_HEADER,
    MAX_ANSWER_BYTES,
    MAX_DESCRIPTION_BYTES,
    Action,
    Answer,
    Aspect,
    Json,
    Question,
    fault,
)
from ai.web.exchanges import Exchanges, require_was_asked
from ai.web.patience import Patience, PatientBackend
from ai.web.tracing import Headers

CONNECTIONS = 64
KEEP_ALIVE_S = (
    4.0  # shorter than what servers and proxies keep, so that no request meets a closing connection
)
HEAD_BYTES = "inference-header-content-length"

_PATHS: MappingProxyType[Aspect, str] = MappingProxyType(
    {"metadata": "", "config": "/config", "statistics": "/stats"}
)

# Triton 2.51 says 400 for INVALID_ARG, and for UNKNOWN, ALREADY_EXISTS and CANCELLED as well.
_KINDS: MappingProxyType[int, type[BackendError]] = MappingProxyType(
    {
        400: Refused,
        404: ModelNotFound,
        408: DeadlineExceeded,
        413: Refused,
        422: Refused,
        429: Overloaded,
        502: Unavailable,
        503: Unavailable,
        504: DeadlineExceeded,
    }
)

# httpcore's errors have no common ancestor. A test fails when it grows one that is not here.
TRANSPORT_ERRORS: MappingProxyType[type[Exception], type[BackendError]] = MappingProxyType(
    {
        httpcore.TimeoutException: DeadlineExceeded,
        httpcore.NetworkError: Unavailable,
        httpcore.ProxyError: Unavailable,
        httpcore.RemoteProtocolError: Unavailable,  # it hung up, or what answers there is no HTTP server
        httpcore.LocalProtocolError: Refused,
        httpcore.ProtocolError: Unavailable,
        httpcore.UnsupportedProtocol: Unavailable,
        httpcore.ConnectionNotAvailable: Unavailable,
    }
)


class _Reply:
    __slots__ = ("content", "headers", "patience", "status")

    def __init__(self, status: int, headers: dict[str, str], content: bytes, patience: Patience) -> None:
        self.status, self.headers, self.content, self.patience = status, headers, content, patience


class HttpWire:
    """Make it on the event loop that uses it."""

    def __init__(self, url: str, admin_key: str | None = None, connections: int = CONNECTIONS) -> None:
        self._base = (url if "://" in url else f"http://{url}").rstrip("/") + "/v2"
        self._host = urlsplit(self._base).netloc
        self._admin: Headers = ((ADMIN_HEADER, admin_key),) if admin_key else ()
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=PatientBackend(),
        )
        self._exchanges = Exchanges("Triton", connections)

    async def infer(self, question: Question, timeout_s: float) -> Answer:
        body, head_bytes = http_body.encode(question, timeout_s)
        headers = ((HEAD_BYTES, str(head_bytes)), *question.headers)
        path = f"/models/{quote(question.model, safe='')}/infer"
        reply = await self._ask("POST", path, timeout_s, body, headers)
        try:
            answer = http_body.decode(reply.content, reply.headers.get(HEAD_BYTES))
            answer.require_is_to(question)
        except InvalidModelOutput:
            reply.patience.distrust()
            raise
        return answer

    async def describe(self, aspect: Aspect, model: str, version: str, timeout_s: float) -> Json:
        reply = await self._ask("GET", _model(model, version) + _PATHS[aspect], timeout_s)
        return table_of(reply.content)

    async def is_model_ready(self, model: str, version: str, timeout_s: float) -> bool:
        try:
            await self._ask("GET", _model(model, version) + "/ready", timeout_s)
        except (Refused, ModelNotFound):  # 400: "Model version not ready"
            return False
        return True

    async def repository_index(self, timeout_s: float) -> list[Json]:
        reply = await self._ask("POST", "/repository/index", timeout_s, b"{}", self._admin)
        models = _json(reply.content)
        if not isinstance(models, list):
            raise InvalidModelOutput("Triton's index of models is no list.")
        return models

    async def change_repository(self, action: Action, model: str, timeout_s: float) -> None:
        path = f"/repository/models/{quote(model, safe='')}/{action}"
        await self._ask("POST", path, timeout_s, b"{}", self._admin)

    async def close(self) -> None:
        await self._exchanges.close()
        await self._pool.aclose()

    async def _ask(
        self, method: str, path: str, timeout_s: float, body: bytes = b"", headers: Headers = ()
    ) -> _Reply:
        request = self._request(method, path, body, headers)
        reply = await self._exchanges.run(partial(self._exchange, request), timeout_s)
        if reply.status == 200:
            return reply
        kind = _KINDS.get(reply.status, ServerError)
        raise fault(kind, str(reply.status), _reason(reply.content))

    def _request(self, method: str, path: str, body: bytes, headers: Headers) -> httpcore.Request:
        named = {
            "host": self._host,
            "accept-encoding": "identity",  # else Triton spends its processor on gzip
            "content-length": str(len(body)),
            **dict(headers),
        }
        return httpcore.Request(method, self._base + path, headers=list(named.items()), content=body)

    async def _exchange(self, request: httpcore.Request, patience: Patience) -> _Reply:
        """The one place where httpcore's errors become ours."""
        try:
            response = await self._pool.handle_async_request(request)
            try:
                require_was_asked(patience, "Triton")
                return await _received(response, patience)
            finally:
                await response.aclose()
        except tuple(TRANSPORT_ERRORS) as error:
            if self._exchanges.closed:
                raise Unavailable("The connections to Triton were closed while it was asked.") from error
            raise _transport_fault(error, patience.timeout_s) from error


def _transport_fault(error: Exception, timeout_s: float) -> BackendError:
    kind = next(ours for theirs, ours in TRANSPORT_ERRORS.items() if isinstance(error, theirs))
    if kind is DeadlineExceeded:
        return DeadlineExceeded(f"Triton did not answer within {timeout_s:.3g} s.")
    return kind(f"Triton cannot be asked over HTTP: {str(error) or type(error).__name__}")


async def _received(response: httpcore.Response, patience: Patience) -> _Reply:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if headers.get("content-encoding", "identity") != "identity":
        raise InvalidModelOutput(f"Triton compresses its answer ({headers['content-encoding']}), unasked.")
    content = bytearray()
    async for part in response.aiter_stream():
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise InvalidModelOutput(f"Triton's answer is too large: more than {MAX_ANSWER_BYTES:,} bytes.")
    return _Reply(response.status, headers, bytes(content), patience)


def table_of(content: bytes) -> Json:
    """What Triton says of a model, with nothing believed of it but that it is a table."""
    table = _json(content)
    if not isinstance(table, dict):
        raise InvalidModelOutput("Triton describes a model by something that is no table.")
    return table


def _model(model: str, version: str) -> str:
    path = f"/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _json(content: bytes) -> Any:
    if len(content) > MAX_DESCRIPTION_BYTES:
        raise InvalidModelOutput(f"Triton describes its models in {len(content):,} bytes.")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidModelOutput(f"Triton's answer is no JSON: {error}") from error


def _reason(content: bytes) -> str:
    """Triton says {"error": "…"}; a proxy says what it likes."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return content.decode(errors="replace")
