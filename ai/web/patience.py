"""A deadline that holds for every read, write and connect of one HTTP exchange, and that can be brought forward.

httpcore's timeouts are per read: a server that sends a byte now and then holds a call for ever. And a call that is
cancelled at the wrong moment leaves a connection in the pool that is never used again. So no exchange is cancelled:
its caller brings the deadline forward, and the exchange ends as one that ran out of time does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpcore

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Patience:
    """One exchange's, on the clock of its event loop."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.ends_at = asyncio.get_running_loop().time() + timeout_s
        self.heard = False  # something came after the question
        self._line: _PatientStream | None = None
        self._waiting: asyncio.Timeout | None = None

    @property
    def left_s(self) -> float:
        return self.ends_at - asyncio.get_running_loop().time()

    def end(self) -> None:
        """What waits now stops waiting, and nothing waits again."""
        self.ends_at = asyncio.get_running_loop().time()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self.ends_at)

    def distrust(self) -> None:
        """What was read is not what was asked for: this exchange's connection is not used again."""
        if self._line is not None:
            self._line.distrusted = True

    @property
    def was_asked(self) -> bool:
        """Not so, where a question was sent and nothing read after it: yet there is an answer."""
        return self.heard or self._line is None

    def on(self, line: _PatientStream) -> None:
        self._line = line

    def apply(self) -> None:
        """All that the running task does on a PatientBackend is held to this."""
        _PATIENCE.set(self)

    @asynccontextmanager
    async def limit(self, late: type[Exception]) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self.ends_at) as self._waiting:
                yield
        except TimeoutError as error:
            raise late from error
        finally:
            self._waiting = None


_PATIENCE: ContextVar[Patience] = ContextVar("patience")


class PatientBackend(httpcore.AsyncNetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        async with _PATIENCE.get().limit(httpcore.ConnectTimeout):
            stream = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _PatientStream(stream)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _PatientStream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self.distrusted = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        patience = _PATIENCE.get()
        async with patience.limit(httpcore.ReadTimeout):
            data = await self._inner.read(max_bytes, timeout)
        patience.heard = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        patience = _PATIENCE.get()
        patience.on(self)
        async with patience.limit(httpcore.WriteTimeout):
            await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        async with _PATIENCE.get().limit(httpcore.ConnectTimeout):
            return _PatientStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Of a connection that has ended meanwhile, or is distrusted, as it is of any that has ended: it speaks no TLS,
        and can be read to its end, whereupon it is closed. anyio asks its socket, which is no more."""
        if info == "is_readable" and self.distrusted:
            return True
        try:
            return self._inner.get_extra_info(info)
        except (AttributeError, OSError):
            return True if info == "is_readable" else None
