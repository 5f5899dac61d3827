"""Callers that ask a Triton as the backend does, with `TritonClient`: one of several generator processes.

`benchmarks.load.several` starts `python -m benchmarks.load.by_client` and talks to it. What the client does itself
for a model that takes pixels (decode, fit, NMS) is in its latencies and in the generator's processor time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import uvloop
from pydantic import TypeAdapter

from ai.core.errors import BackendError, Overloaded
from ai.triton.client import Protocol, TritonClient
from benchmarks.load.measurement import Measurement
from benchmarks.load.opening import Opening, when_told
from benchmarks.load.outcome import Outcome
from benchmarks.load.part import speak
from benchmarks.load.several import Part, measured
from benchmarks.loadgen import BUSY_PAUSE_S, MAX_REQUESTS, ClosedLoop
from benchmarks.wire import Address, Answer

MODULE = "benchmarks.load.by_client"


@dataclass(frozen=True, slots=True)
class Order:
    url: str  # host:port
    protocol: Protocol
    model: str
    pictures: tuple[Path, ...]
    callers: int
    seconds: float
    timeout_s: float
    server_pids: tuple[int, ...] = ()

    @property
    def line(self) -> bytes:
        return (
            json.dumps({**asdict(self), "pictures": [str(path) for path in self.pictures]}).encode() + b"\n"
        )


_ORDER = TypeAdapter(Order)


def client_loop(order: Order, processes: int = 1) -> Measurement:
    """The order's callers, split over processes."""
    parts = [Part(share.line, MODULE) for share in shares(order, processes)]
    return measured(parts, order.seconds + 4 * order.timeout_s)


def shares(order: Order, processes: int) -> list[Order]:
    """Each begins with another picture; the first reads the servers' CPU time for all."""
    return [
        replace(
            order,
            callers=len(range(number, order.callers, processes)),
            pictures=_turned(order.pictures, number % len(order.pictures)),
            server_pids=() if number else order.server_pids,
        )
        for number in range(min(processes, order.callers))
    ]


def _turned(pictures: tuple[Path, ...], first: int) -> tuple[Path, ...]:
    return (*pictures[first:], *pictures[:first])


class _OverClient(ClosedLoop):
    def __init__(self, order: Order, pictures: Sequence[bytes], client: TritonClient) -> None:
        super().__init__(pictures, order.callers, order.seconds, order.server_pids, MAX_REQUESTS)
        self._order = order
        self._client = client

    async def _call(self, first_outcome: asyncio.Event) -> None:
        while (picture := self._next()) is not None:
            await self._ask(picture)
            first_outcome.set()
        first_outcome.set()

    async def _ask(self, picture: bytes) -> None:
        started_ns = time.perf_counter_ns()
        try:
            await self._client.detect(self._order.model, picture, timeout_s=self._order.timeout_s)
        except Overloaded:
            self._tally.busy += 1
            await asyncio.sleep(BUSY_PAUSE_S)
        except BackendError as error:
            self._tally.errors[type(error).__name__] += 1
        else:
            self._tally.note(Answer(200, b"", started_ns, time.perf_counter_ns()), started_ns)


async def _outcome(order: Order, opening: Opening) -> Outcome:
    Address.of(f"http://{order.url}")  # this machine only
    pictures = [path.read_bytes() for path in order.pictures]
    async with TritonClient.at(order.url, order.protocol) as client:
        return await _OverClient(order, pictures, client).outcome(opening)


def outcome_of(order: Order, opening: Opening) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_outcome(order, opening))


if __name__ == "__main__":
    speak(lambda line: outcome_of(_ORDER.validate_json(line), when_told))
