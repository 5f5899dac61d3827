"""A caller who writes HTTP by hand, and reads what comes back answer by answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PATIENCE_S = 40.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def all(self, name: str) -> list[bytes]:
        return [value for key, value in self.headers if key == name.lower().encode()]


class Line:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def repeat(self, data: bytes, times: int, every_s: float = 0.0) -> None:
        for _ in range(times):
            self.say(data)
            time.sleep(every_s)

    def hang_up(self) -> None:
        """Says no more, still listens."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer | None:
        """The next one, whole; None where the server hung up before it began. What is cut short is an error."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                assert not self._read.strip(), f"half a head: {self._read[:200]!r}"
                return None
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        pairs = tuple(
            (name.lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines)
        )
        length = int(dict(pairs).get(b"content-length", b"0"))
        while len(self._read) < length:
            assert self._more(), "half a body"
        body, self._read = self._read[:length], self._read[length:]
        return Answer(int(first.split()[1]), pairs, body)

    def answers(self) -> list[Answer]:
        """All until the server hangs up."""
        return list(self._answers())

    def _answers(self) -> Iterator[Answer]:
        while (answer := self.answer()) is not None:
            yield answer

    def _more(self) -> bool:
        try:
            got = self._socket.recv(1 << 16)
        except ConnectionError:
            got = b""
        self._read += got
        return bool(got)


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    with Line(port) as line:
        yield line
