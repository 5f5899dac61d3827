"""A TCP proxy on loopback that spoils what passes, and is told how at any moment, from any thread.

    with running_proxy("127.0.0.1", triton_port) as proxy:
        proxy.behave(Latency(0.2))      # what is open suffers it too, in the middle of an answer
        proxy.behave(HEALTHY)

It runs on an event loop in a thread of its own, so that a test's loop may block. What comes faster than it goes waits
where it came from.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import TypeVar

from tests.fault_behaviours import (
    ANSWER,
    BOTH,
    HEALTHY,
    QUESTION,
    TLS_ALERT,
    Behaviour,
    Blackhole,
    Corrupt,
    CutMidBody,
    Direction,
    Drip,
    Duplicate,
    Flap,
    HalfClose,
    Jitter,
    Latency,
    Lose,
    Refuse,
    Reset,
    WrongTls,
)
from tests.fault_lines import KERNEL_BYTES, Line, Weather
from tests.services import free_port

__all__ = [
    "ANSWER", "BOTH", "HEALTHY", "QUESTION", "TLS_ALERT", "Behaviour", "Blackhole", "Corrupt", "CutMidBody",
    "Direction", "Drip", "Duplicate", "FaultProxy", "Flap", "HalfClose", "Jitter", "Latency", "Lose", "Refuse",
    "Reset", "WrongTls", "running_proxy",
]  # fmt: skip

LOOPBACK = "127.0.0.1"
MOST_LINES = 256  # at once; who comes then waits to be accepted
PATIENCE_S = 30.0  # with the proxy's own thread

T = TypeVar("T")


class FaultProxy:
    """Made and ended by `running_proxy`."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._upstream = host, port
        self._lines: dict[asyncio.Task[None], Line] = {}
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name=f"proxy-{self.port}")

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def counts(self) -> Counter[str]:
        """What passed, and what was done to it."""
        return self._there(self._weather.counts.copy)

    def behave(self, behaviour: Behaviour | Flap) -> None:
        """It is in force when this returns."""
        self._there(lambda: self._behave(behaviour))

    def target(self, host: str, port: int) -> None:
        """Where those connections lead that are opened from now on."""
        self._there(lambda: setattr(self, "_upstream", (host, port)))

    def start(self) -> None:
        self._thread.start()
        assert self._begun.wait(PATIENCE_S), "the proxy did not start"

    def stop(self) -> None:
        self._there(self._stopping.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the proxy did not end"

    def _there(self, do: Callable[[], T]) -> T:
        async def done() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE_S)

    # --- in its thread ------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._loop, self._stopping, self._weather = asyncio.get_running_loop(), asyncio.Event(), Weather()
        self._flapping: asyncio.Task[None] | None = None
        self._accepting: asyncio.Task[None] | None = None
        with socket.socket() as self._listener:
            self._listener.setblocking(False)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
            self._listener.bind((LOOPBACK, self.port))
            self._turn(HEALTHY)
            self._begun.set()
            await self._stopping.wait()
            self._behave(Refuse())
            await asyncio.gather(
                *self._lines, return_exceptions=True
            )  # one that said its farewell is cancelled

    def _behave(self, behaviour: Behaviour | Flap) -> None:
        if self._flapping is not None:
            self._flapping.cancel()
            self._flapping = None
        if isinstance(behaviour, Flap):
            self._flapping = asyncio.create_task(self._flap(behaviour.period_s))
        else:
            self._turn(behaviour)

    async def _flap(self, period_s: float) -> None:
        for behaviour in cycle((Refuse(), HEALTHY)):
            self._turn(behaviour)
            await asyncio.sleep(period_s)

    def _turn(self, behaviour: Behaviour) -> None:
        self._weather.turn(behaviour)
        self._listen(behaviour.listens)
        for line in self._lines.values():
            line.met()

    def _listen(self, wanted: bool) -> None:
        """Linux: a listener that is shut down keeps its port, and can listen again."""
        if wanted and self._accepting is None:
            self._listener.listen()
            self._accepting = asyncio.create_task(self._accept())
        elif not wanted and self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
            self._listener.shutdown(socket.SHUT_RDWR)

    async def _accept(self) -> None:
        while True:
            while len(self._lines) >= MOST_LINES:
                await asyncio.wait(self._lines, return_when=asyncio.FIRST_COMPLETED)
            caller, _ = await self._loop.sock_accept(self._listener)
            line = Line(caller, self._weather)
            self._weather.counts["connections"] += 1
            task = asyncio.create_task(line.run(*self._upstream))
            self._lines[task] = line
            task.add_done_callback(self._lines.pop)


@contextmanager
def running_proxy(host: str, port: int) -> Iterator[FaultProxy]:
    """Before whoever listens there, now or later."""
    proxy = FaultProxy(host, port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
