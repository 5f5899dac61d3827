"""One connection through the fault proxy: two flows between two sockets, each held to the behaviour in force."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.fault_behaviours import ANSWER, HEALTHY, QUESTION, Behaviour, Blackhole, Direction

FLOW_BYTES = 64 * 1024  # that a flow holds at most
KERNEL_BYTES = 256 * 1024  # that the kernel holds for it, at either end
CONNECT_TIMEOUT_S = 10.0
FAREWELL_S = 1.0  # after FIN, until the caller has ended too: closed at once, it would be a reset

SILENCE = Blackhole()
_RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)


class Weather:
    """The behaviour in force, for all lines of a proxy."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = HEALTHY
        self.random = Random(0)
        self.counts: Counter[str] = Counter()
        self.changed = asyncio.Event()

    def turn(self, behaviour: Behaviour) -> None:
        self.behaviour, self.random = behaviour, Random(getattr(behaviour, "seed", 0))
        self.changed.set()
        self.changed = asyncio.Event()

    async def undisturbed(self, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            return True
        return False


class OneWay:
    """Of a line: from `source` to `sink`."""

    def __init__(self, name: Direction, source: socket.socket, sink: socket.socket, weather: Weather) -> None:
        self.answered, self.begins = 0, True
        self.finished = self.lost = False
        self.heard: Callable[[], None] = lambda: None
        self._name, self._source, self._sink = name, source, sink
        self._weather = weather
        self._loop = asyncio.get_running_loop()

    @property
    def random(self) -> Random:
        return self._weather.random

    @property
    def behaviour(self) -> Behaviour:
        """That which concerns it."""
        now = SILENCE if self.lost else self._weather.behaviour
        return now if now.concerns(self._name) else HEALTHY

    async def undisturbed(self, seconds: float | None) -> bool:
        return await self._weather.undisturbed(seconds)

    def count(self, what: str, how_many: int = 1) -> None:
        self._weather.counts[what] += how_many

    async def send(self, data: bytes) -> None:
        if self.finished:
            return
        await self._loop.sock_sendall(self._sink, data)
        self.answered += len(data)
        self.count(f"{self._name}_bytes", len(data))

    def begin(self) -> None:
        """The other direction has spoken: what comes now is an answer to that."""
        self.answered = 0

    def met_by(self, line: Line) -> None:
        self._weather.behaviour.meets(line, self)

    def finish(self) -> None:
        self.finished = True
        with contextlib.suppress(OSError):  # it has gone
            self._sink.shutdown(socket.SHUT_WR)

    async def run(self, line: Line) -> None:
        try:
            await self._pass_all(line)
        except OSError:
            await self.spoken_to()
            raise
        await self.spoken_to()
        self.finish()

    async def _pass_all(self, line: Line) -> None:
        while data := await self._received():
            self.heard()
            while data:
                data = await self.behaviour.passes(data, self, line)

    async def spoken_to(self) -> None:
        """Silence is over."""
        while self.behaviour.silent:
            await self.undisturbed(None)

    async def _received(self) -> bytes:
        self.begins = self.answered == 0
        try:
            return self._source.recv(FLOW_BYTES)
        except BlockingIOError:
            self.begins = True
            return await self._loop.sock_recv(self._source, FLOW_BYTES)


class Line:
    """From a caller to the server; `run` ends with it, and both sockets are closed then."""

    def __init__(self, caller: socket.socket, weather: Weather) -> None:
        self._caller = caller
        self._server = socket.socket()
        for one in (caller, self._server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        self.question = OneWay(QUESTION, caller, self._server, weather)
        self.answer = OneWay(ANSWER, self._server, caller, weather)
        self.question.heard, self.answer.heard = self.answer.begin, self.question.begin
        self._task: asyncio.Task[None] | None = None
        self._resets, self._last_words = False, b""
        self.is_open = False

    async def run(self, host: str, port: int) -> None:
        self._task = asyncio.current_task()
        try:
            await self._pass(host, port)
        except* OSError:
            self._resets = True
        except* asyncio.CancelledError:
            pass  # by one of the following
        await self._close()

    def met(self) -> None:
        """The behaviour that is in force now."""
        self.answer.met_by(self)

    def lose(self) -> None:
        self.question.lost = self.answer.lost = True

    def finish_answer(self) -> None:
        self.answer.finish()

    def reset(self) -> None:
        self._resets = True
        self._end()

    def cut(self, last_words: bytes = b"") -> None:
        self._last_words = last_words
        self._end()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _pass(self, host: str, port: int) -> None:
        self.met()
        await self.question.spoken_to()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(self._server, (host, port))
        self.is_open = True
        async with asyncio.TaskGroup() as flows:
            flows.create_task(self.question.run(self))
            flows.create_task(self.answer.run(self))

    async def _close(self) -> None:
        try:
            if not self._resets:
                await self._farewell()
        finally:
            for one in (self._caller, self._server):
                if self._resets:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
                one.close()

    async def _farewell(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(FAREWELL_S):
                await loop.sock_sendall(self._caller, self._last_words)
                self._caller.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(self._caller, FLOW_BYTES):
                    pass
