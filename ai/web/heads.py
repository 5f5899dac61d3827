"""The head of a request is bounded in bytes and in time: uvicorn's httptools takes what comes, for as long as it comes.

A head without an end took ten times its bytes of memory, from anybody; one that dripped held its connection for ever.
And fields that follow a chunked body (RFC 9112, 7.1.2) are dropped: uvicorn adds them to the headers of the request
that is under way, where a proxy in front has not looked at them.
"""

from __future__ import annotations

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ai.web.problems import Problem

MAX_HEAD_BYTES = 128 * 1024  # nginx takes 32 KiB, browsers send under 16
HEAD_TIMEOUT_S = 20.0  # for a whole head to arrive, from the connection's first moment on


class BoundedHeads(HttpToolsProtocol):
    """For `uvicorn.run(http=BoundedHeads)`."""

    _unframed_bytes = 0  # since the parser said last that a part of the message was whole
    _in_head = False
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        between_requests = self.timeout_keep_alive_task is not None
        self._unframed_bytes += len(data)
        super().data_received(data)
        if self._unframed_bytes > MAX_HEAD_BYTES:
            self._refuse(Problem(431, f"the head is longer than the {MAX_HEAD_BYTES:,} bytes that are taken"))
        elif between_requests and not self._is_answering:
            self._wait()  # uvicorn waits no longer, though it may be an empty line, or what nobody reads

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._unframed_bytes = False, 0
        self._wait_no_longer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unframed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unframed_bytes = 0
        super().on_message_complete()

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_TIMEOUT_S, self._waited_enough)

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _waited_enough(self) -> None:
        self._patience = None
        if self._is_answering:  # the request before this one
            self._wait()
        elif self._in_head:
            self._refuse(Problem(408, f"the head did not arrive within {HEAD_TIMEOUT_S:g} s"))
        else:
            self.transport.close()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: Problem) -> None:
        """In words where they cannot be taken for another request's answer; either way nothing more is read."""
        if self._in_head and not self._is_answering:
            body = json.dumps(problem.document).encode()
            self.transport.write(
                b"HTTP/1.1 %d %b\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n%b"
                % (problem.status, str(problem.document["title"]).encode(), len(body), body)
            )
        self.transport.close()
