"""The legacy services, asked over HTTP: the picture's own bytes, one pool of connections, one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType

import httpcore
import httpx

from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidModelOutput,
    ModelNotFound,
    Refused,
    Unavailable,
)
from ai.web.echo import QUESTION_HEADER
from ai.web.exchanges import Exchanges, require_was_asked
from ai.web.patience import Patience, PatientBackend
from ai.web.tracing import is_sendable, passed_on
from backend.transports.base import Ask, Found
from backend.transports.legacy_answers import Reply, detections_of

CONNECTIONS = 64  # to each service: one that hangs takes no place from another
# Shorter than what servers and proxies keep (uvicorn here: 20 s), so that no request meets a closing connection.
KEEP_ALIVE_S = 4.0
# 300 boxes have 45 KB. It is read on the event loop, where 4 MiB of them hold everybody up for 0.3 to 0.8 s.
MAX_ANSWER_BYTES = 1024 * 1024
MAX_PROBLEM_BYTES = 64 * 1024
MAX_DEADLINE_MS = 3_600_000  # what the services take

# Only what is named here can come out of the one call below. A test fails when httpx grows one that is not.
LIBRARY_ERRORS: Mapping[type[Exception], type[BackendError]] = MappingProxyType(
    {
        httpx.TimeoutException: DeadlineExceeded,
        httpx.NetworkError: Unavailable,
        httpx.ProxyError: Unavailable,
        httpx.RemoteProtocolError: Unavailable,  # it hung up, or what answers there is no HTTP server
        httpx.LocalProtocolError: Refused,
        httpx.UnsupportedProtocol: Unavailable,
        httpcore.ConnectionNotAvailable: Unavailable,  # httpx lets it through
        UnicodeError: Unavailable,  # a host's name that no resolver can take
    }
)


class LegacyTransport:
    """Make it on the event loop that uses it. `urls`: of each detector's service."""

    def __init__(self, urls: Mapping[str, str], connections: int = CONNECTIONS) -> None:
        self._urls = {detector: httpx.URL(url.rstrip("/") + "/detect") for detector, url in urls.items()}
        self._connections = connections
        self._lines: _Lines | None = None
        self._closed = False

    async def detect(self, ask: Ask) -> Found:
        url = self._urls.get(ask.detector)
        if url is None:
            raise ModelNotFound(f"No legacy service is known for the detector {ask.detector!r}.")
        if self._closed:
            raise Unavailable("The connections to the legacy services are closed.")
        if self._lines is None:
            self._lines = _Lines(self._urls, self._connections)
        return Found(detections_of(await self._lines.ask(url, ask)))

    async def rest(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            await lines.close()

    async def close(self) -> None:
        self._closed = True
        await self.rest()


class _Lines:
    """The connections to all services."""

    def __init__(self, detectors: Mapping[str, object], connections: int) -> None:
        self._http = _PatientTransport(connections * len(detectors))
        self._exchanges = {
            detector: Exchanges(f"the legacy {detector} service", connections) for detector in detectors
        }

    async def ask(self, url: httpx.URL, ask: Ask) -> Reply:
        exchanges = self._exchanges[ask.detector]
        with _our_errors(ask, exchanges):
            return await exchanges.run(partial(self._exchange, url, ask), ask.timeout_s)

    async def close(self) -> None:
        await asyncio.gather(*(exchanges.close() for exchanges in self._exchanges.values()))
        await self._http.aclose()

    async def _exchange(self, url: httpx.URL, ask: Ask, patience: Patience) -> Reply:
        headers = _headers(ask, patience.left_s)
        request = httpx.Request("POST", url, headers=headers, content=bytes(ask.image))
        response = await self._http.handle_async_request(request)
        try:
            require_was_asked(patience, f"The legacy {ask.detector} service")
            _require_is_to(ask, response.headers)
            return Reply(response.status_code, _named(response.headers), await _content(response))
        finally:
            await response.aclose()


class _PatientTransport(httpx.AsyncHTTPTransport):
    """httpx over a PatientBackend, for which it has no argument. Without httpx's client around it there are no
    redirects, no cookies, no proxies from the environment, and nothing that unpacks an answer."""

    def __init__(self, connections: int) -> None:
        # In place of httpx's own __init__, which would make a pool of its own.
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=PatientBackend(),
        )


@contextmanager
def _our_errors(ask: Ask, exchanges: Exchanges) -> Iterator[None]:
    """The one place where foreign errors become ours."""
    try:
        yield
    except tuple(LIBRARY_ERRORS) as error:
        if exchanges.closed:
            raise Unavailable(
                "The connections to the legacy service were closed while it was asked."
            ) from error
        kind = next(ours for theirs, ours in LIBRARY_ERRORS.items() if isinstance(error, theirs))
        if kind is DeadlineExceeded:
            raise DeadlineExceeded(
                f"The legacy {ask.detector} service did not answer within {ask.timeout_s:.3g} s."
            ) from error
        words = str(error) or type(error).__name__
        raise kind(f"The legacy {ask.detector} service cannot be asked: {words}") from error


def _headers(ask: Ask, left_s: float) -> dict[str, str]:
    left_ms = min(max(left_s * 1000, 0), MAX_DEADLINE_MS)
    return {
        "Content-Type": ask.media_type if is_sendable(ask.media_type) else "application/octet-stream",
        "Accept-Encoding": "identity",
        "X-Deadline-Ms": f"{left_ms:.0f}",
        **({QUESTION_HEADER: ask.request_id} if ask.request_id and is_sendable(ask.request_id) else {}),
        **dict(passed_on(ask.headers, ask.request_id)),
    }


def _require_is_to(ask: Ask, headers: httpx.Headers) -> None:
    """A service that names the question which it answers must name this one. Ours do."""
    named = headers.get(QUESTION_HEADER, ask.request_id)
    if named != ask.request_id:
        raise InvalidModelOutput(f"The service answers another question: {named[:40]!r}.")


def _named(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def _content(response: httpx.Response) -> bytes:
    """The body of an answer as a whole, of a problem as much as is needed to name it."""
    good = response.status_code == 200
    if good and (packed := response.headers.get("content-encoding", "identity")) != "identity":
        raise InvalidModelOutput(f"The service compresses its answer ({packed[:40]}), unasked.")
    limit = MAX_ANSWER_BYTES if good else MAX_PROBLEM_BYTES
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > limit:
            if good:
                raise InvalidModelOutput(f"The service's answer is too large: more than {limit:,} bytes.")
            break
    return bytes(content[:limit])
