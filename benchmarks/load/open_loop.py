"""An open-loop load generator: requests fall due at a rate, whatever the answers; a latency begins when one was due.

    python -m benchmarks.load.open_loop http://127.0.0.1:8095/detect --rate 20 --seconds 10 a.jpg b.jpg

A server that cannot keep up makes its callers wait, here as in life: what queues is in the latencies, and not hidden
by callers who wait their turn. Requests fall due for `lead_s` before the window as well, so that it opens on a server
at work. At most `most_open` are open at a time; one that is due beyond those waits in the generator, its time counts
on, and it fails when it has waited its timeout. So a run takes at most the lead, the window and one timeout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import uvloop

from benchmarks.load.alarm import alarm
from benchmarks.load.arrivals import ARRIVALS, POISSON, moments_s
from benchmarks.load.measurement import Measurement, Offered
from benchmarks.load.opening import Opening, at_once
from benchmarks.load.outcome import Due, Outcome, merged
from benchmarks.load.tally import Tally
from benchmarks.loadgen import CONTENT_TYPE, MAX_REQUESTS, TIMEOUT_S
from benchmarks.meter import Reading
from benchmarks.options import number_between, whole_number_to
from benchmarks.wire import Address, Connection, NoAnswerError, NotLoopbackError

LEAD_S = 1.0
MOST_OPEN = 256
MAX_RATE_RPS = 20_000.0
IDLE_S = (
    2.0  # a connection that was idle for longer may be closed by the server at this moment: uvicorn waits 5 s
)


@dataclass(frozen=True, slots=True)
class OpenLoad:
    url: str
    bodies: tuple[bytes, ...]  # sent in turn
    rate_rps: float  # of all parts together
    seconds: float
    arrivals: str = POISSON
    lead_s: float = LEAD_S
    most_open: int = MOST_OPEN
    timeout_s: float = TIMEOUT_S  # of one request, from when it was due
    max_requests: int = MAX_REQUESTS
    content_type: str = CONTENT_TYPE
    headers: tuple[str, ...] = ()
    server_pids: tuple[int, ...] = ()
    part: int = 0  # this process's, of those that share the rate
    parts: int = 1


def measure(load: OpenLoad) -> Measurement:
    return merged([outcome_of(load, at_once)])


def outcome_of(load: OpenLoad, opening: Opening) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(load).outcome(opening))


@dataclass(slots=True)
class _Idle:
    connection: Connection
    since_ns: int

    @property
    def usable(self) -> bool:
        fresh = time.perf_counter_ns() - self.since_ns < IDLE_S * 1e9
        return fresh and not self.connection.closed


class _Run:
    def __init__(self, load: OpenLoad) -> None:
        self._load = load
        self._address = Address.of(load.url)
        self._requests = cycle(
            [self._address.request(body, load.content_type, load.headers) for body in load.bodies]
        )
        self._tally = Tally(load.max_requests)
        self._waiting: deque[int] = deque()  # when each was due
        self._idle: list[_Idle] = []
        self._open = 0
        self._due = 0  # in the window

    async def outcome(self, opening: Opening) -> Outcome:
        begins_ns = await opening()
        opens_ns = begins_ns + round(self._load.lead_s * 1e9)
        closes_ns = opens_ns + round(self._load.seconds * 1e9)
        with alarm() as bell:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send_all(group, begins_ns, opens_ns))
                await bell.until(opens_ns)
                opened = Reading.take(*self._load.server_pids)
                await asyncio.sleep(max(0.0, (closes_ns - time.perf_counter_ns()) / 1e9))
                closed = Reading.take(*self._load.server_pids)
                await sending
        self._close()
        offered = Offered(self._load.rate_rps / self._load.parts, self._load.arrivals, self._due, None)
        return Outcome.of(self._load.most_open, self._tally, opened, closed, Due(opens_ns, offered))

    async def _send_all(self, group: asyncio.TaskGroup, begins_ns: int, opens_ns: int) -> None:
        """Every request at its moment; a run in which enough went wrong sends no more."""
        load = self._load
        with alarm() as bell:
            for moment_s in moments_s(
                load.arrivals, load.rate_rps, load.lead_s + load.seconds, load.part, load.parts
            ):
                due_ns = begins_ns + round(moment_s * 1e9)
                await bell.until(due_ns)
                if self._tally.spent:
                    return
                self._due += due_ns >= opens_ns
                self._fall_due(due_ns, group)

    def _fall_due(self, due_ns: int, group: asyncio.TaskGroup) -> None:
        self._tally.sent += 1
        if self._open < self._load.most_open:
            self._open += 1
            group.create_task(self._work(due_ns))
        else:
            self._waiting.append(due_ns)

    async def _work(self, due_ns: int | None) -> None:
        """One connection's turn: this request, then whatever waits."""
        while due_ns is not None:
            try:
                await self._ask(due_ns)
            except NoAnswerError as error:
                self._tally.errors[error.reason] += 1
            due_ns = self._waiting.popleft() if self._waiting else None
        self._open -= 1

    async def _ask(self, due_ns: int) -> None:
        connection = self._take() or await Connection.open(self._address, self._left_s(due_ns))
        answer = await connection.ask(next(self._requests), self._left_s(due_ns))
        self._tally.note(answer, due_ns)
        self._idle.append(_Idle(connection, answer.ended_ns))

    def _take(self) -> Connection | None:
        while self._idle:
            last = self._idle.pop()
            if last.usable:
                return last.connection
            last.connection.close()
        return None

    def _left_s(self, due_ns: int) -> float:
        left_s = self._load.timeout_s - (time.perf_counter_ns() - due_ns) / 1e9
        if left_s <= 0:
            raise NoAnswerError("timeout")
        return left_s

    def _close(self) -> None:
        for idle in self._idle:
            idle.connection.close()


def _load_of(arguments: Sequence[str] | None) -> OpenLoad:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.open_loop", description="Open-loop load; JSON out."
    )
    parser.add_argument("url")
    parser.add_argument("bodies", nargs="+", type=Path, help="files to POST, in turn")
    parser.add_argument("--rate", dest="rate_rps", type=number_between(0.1, MAX_RATE_RPS), default=10.0)
    parser.add_argument("--arrivals", choices=ARRIVALS, default=POISSON)
    parser.add_argument("--seconds", type=number_between(0.1, 3600), default=10.0)
    parser.add_argument("--lead-s", type=number_between(0, 60), default=LEAD_S, help="before the window")
    parser.add_argument("--most-open", type=whole_number_to(4096), default=MOST_OPEN)
    parser.add_argument("--timeout-s", type=number_between(0.1, 600), default=TIMEOUT_S)
    parser.add_argument("--content-type", default=CONTENT_TYPE)
    parser.add_argument("--header", dest="headers", action="append", default=[], help="`Name: value`")
    options = vars(parser.parse_args(arguments))
    options["bodies"] = tuple(path.read_bytes() for path in options["bodies"])
    return OpenLoad(**{**options, "headers": tuple(options["headers"])})


def main(arguments: Sequence[str] | None = None) -> None:
    try:
        measurement = measure(_load_of(arguments))
    except (NotLoopbackError, OSError) as error:
        sys.exit(str(error))
    print(json.dumps(asdict(measurement)))


if __name__ == "__main__":
    main()
