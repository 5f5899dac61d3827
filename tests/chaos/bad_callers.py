"""Callers who mean no good, or know no better: one after the other on lines of their own, beside a load that does."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.bad_input import CUT_SHORT, LINES, Bad

PATIENCE_S = 30.0
AT_ONCE = 2  # requests; more would measure the cores, not the backend
SILENT = 100  # lines at once
NO_ANSWER = 0


class BadCallers:
    def __init__(self, port: int) -> None:
        self._port = port

    def send(self, requests: Iterable[Bad]) -> dict[str, int]:
        """The status that each was told, by name."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = {one.name: pool.submit(self.say, one.request()) for one in requests}
            return {name: answer.result() for name, answer in asked.items()}

    def send_lines(self) -> dict[str, int]:
        with ThreadPoolExecutor(len(LINES)) as pool:
            asked = {name: pool.submit(self.say, words) for name, (words, _) in LINES.items()}
            return {name: answer.result() for name, answer in asked.items()}

    def say(self, words: bytes) -> int:
        """On a line of its own: the status of what comes back, NO_ANSWER where the line ends first."""
        with self._line() as line:
            with contextlib.suppress(
                ConnectionError
            ):  # refused while it still speaks; the answer may be there
                line.sendall(words)
            return _status(line)

    def stay_silent(self) -> list[socket.socket]:
        """Many that say half a request and wait."""
        lines = [self._line() for _ in range(SILENT)]
        for line in lines:
            line.sendall(CUT_SHORT)
        return lines

    def hang_up(self, words: bytes, times: int) -> None:
        """In the middle of what they say or of what they are told, every second one with a reset."""
        for number in range(times):
            with self._line() as line:
                if number % 2:
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.sendall(words)

    def drip(self) -> int:
        """A byte now and then wins no time."""
        ends_at = time.monotonic() + PATIENCE_S
        with self._line() as line:
            line.sendall(CUT_SHORT)
            line.settimeout(0.05)
            while time.monotonic() < ends_at:
                with contextlib.suppress(ConnectionError):
                    line.sendall(b"\x00")
                try:
                    return _status_of(line.recv(4096))
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        return NO_ANSWER

    def pipeline(self, request: bytes, times: int) -> int:
        """All at once on one line; how many were answered 200, in a row."""
        with self._line() as line:
            line.sendall(request * times)
            answered, heard = 0, b""
            while answered < times and (part := _heard(line)):
                heard += part
                answered = heard.count(b"HTTP/1.1 200 ")
        return answered

    def keep_alive(self, good: bytes, bad: bytes, times: int) -> int:
        """Good and bad by turns on one line: how many of the good ones were answered 200."""
        answered = 0
        with self._line() as line:
            for number in range(2 * times):
                with contextlib.suppress(ConnectionError):
                    line.sendall(bad if number % 2 else good)
                answered += _whole_answer(line) == 200
        return answered

    def _line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S)


def _status(line: socket.socket) -> int:
    return _status_of(_heard(line))


def _heard(line: socket.socket) -> bytes:
    try:
        return line.recv(65536)
    except OSError:
        return b""


def _status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else NO_ANSWER


def _whole_answer(line: socket.socket) -> int:
    """Its status, when its body has come too."""
    heard = _heard(line)
    while b"\r\n\r\n" not in heard and (part := _heard(line)):
        heard += part
    head, _, body = heard.partition(b"\r\n\r\n")
    length = _length(head)
    while len(body) < length and (part := _heard(line)):
        body += part
    return _status_of(head)


def _length(head: bytes) -> int:
    lengths = [one for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")]
    return int(lengths[0].split(b":")[1]) if lengths else 0
