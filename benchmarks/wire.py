"""One caller's connection: HTTP/1.1 with keep-alive on asyncio, at as little CPU as Python can do it.

What a request costs is in every report: `loadgen_cpu_cores` of a cell over its requests/s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser


class NoAnswerError(Exception):
    """A request without an answer. `reason` is one of refused, closed, garbled, timeout."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotLoopbackError(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Address:
        """The parts of an http:// URL; NotLoopbackError for any other machine, where load is an attack."""
        parts = urlsplit(url)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
        if parts.scheme != "http" or not _is_loopback(host):
            raise NotLoopbackError(
                f"{url!r}: the load goes to http:// on this machine only, such as http://127.0.0.1:8095"
            )
        path = parts.path or "/"
        return cls(host, parts.port or 80, f"{path}?{parts.query}" if parts.query else path)

    def request(self, body: bytes, content_type: str, headers: Sequence[str] = ()) -> bytes:
        """The bytes of one POST, made once and sent many times; `headers` are more lines, `Name: value`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {host}:{self.port}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii") + body


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    server_timing: bytes
    started_ns: int
    ended_ns: int


class Connection(asyncio.Protocol):
    """Made by `open`; `ask` one request at a time. After NoAnswerError it is closed for good."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._server_timing = b""
        self._started_ns = 0

    @classmethod
    async def open(cls, address: Address, timeout_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(cls, address.host, address.port)
        except TimeoutError:
            raise NoAnswerError("timeout") from None
        except OSError as error:
            raise NoAnswerError("refused") from error
        return connection

    async def ask(self, request: bytes, timeout_s: float) -> Answer:
        if self._transport is None:
            raise NoAnswerError("closed")
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(timeout_s, self._fail, "timeout")
        self._server_timing, self._started_ns = b"", time.perf_counter_ns()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            timer.cancel()

    @property
    def closed(self) -> bool:
        return self._transport is None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _fail(self, reason: str) -> None:
        self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(NoAnswerError(reason))

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream; uvloop's own is no subclass of it

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            self._fail("garbled")

    def connection_lost(self, _exc: Exception | None) -> None:
        self._fail("closed")

    # What httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"server-timing":
            self._server_timing = value

    def on_message_complete(self) -> None:
        ended_ns, keep_alive = time.perf_counter_ns(), self._parser.should_keep_alive()
        if self._waiting is not None and not self._waiting.done():
            status = self._parser.get_status_code()
            self._waiting.set_result(Answer(status, self._server_timing, self._started_ns, ended_ns))
        if not keep_alive:
            self.close()
