"""A closed-loop load generator: N callers, each sends its next request when its last one is answered.

    python -m benchmarks.loadgen http://127.0.0.1:8095/detect --callers 8 --seconds 4 a.jpg b.jpg

A closed loop never has more than N requests open: a slow server slows its callers down, and what would have
queued behind them in life is not seen. The window opens when every caller has had its first answer and closes
after `--seconds`; what is still open then is waited for, and left out. A request takes at most its timeout to
connect and its timeout to be answered, so a run takes at most the window and four timeouts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import uvloop

from benchmarks.meter import Cores, Reading
from benchmarks.wire import Address, Answer, Connection, NoAnswerError, NotLoopbackError

TIMEOUT_S = 30.0
MAX_REQUESTS = 1_000_000  # a bound on memory: each answer in the window is kept
CONTENT_TYPE = "image/jpeg"
BUSY_PAUSE_S = 0.05  # after a 503, or a caller would turn in a tight loop
MAX_FAILURES = 100  # of a whole run; more of the same teaches nothing


@dataclass(frozen=True, slots=True)
class Load:
    url: str
    bodies: tuple[bytes, ...]  # sent in turn
    callers: int
    seconds: float
    timeout_s: float = TIMEOUT_S  # of one request
    max_requests: int = MAX_REQUESTS
    content_type: str = CONTENT_TYPE
    headers: tuple[str, ...] = ()  # more of them, `Name: value`
    server_pids: tuple[int, ...] = ()  # whose CPU time is read at the window's two ends


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run: rate, latencies, split and cores of the window, `sent` and failures of the whole."""

    callers: int
    seconds: float
    sent: int
    answered: int  # with 200, in the window
    rps: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    split_ms: dict[str, float]  # medians of each stage in Server-Timing, and `rest`: latency minus all stages
    cores: Cores
    busy: int  # answered with 503
    errors: dict[str, int]


def measure(load: Load) -> Measurement:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(load).measure())


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank: the smallest value that `share` of all values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


class _Run:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._address = Address.of(load.url)
        self._requests = [
            self._address.request(body, load.content_type, load.headers) for body in load.bodies
        ]
        self._numbers = count()
        self._sent = 0
        self._stopping = False
        self._answers: list[Answer] = []
        self._busy = 0
        self._errors: Counter[str] = Counter()

    async def measure(self) -> Measurement:
        first_outcomes = [asyncio.Event() for _ in range(self._load.callers)]
        async with asyncio.TaskGroup() as group:  # a caller that breaks ends the run, instead of hanging it
            callers = [group.create_task(self._call(first)) for first in first_outcomes]
            for first in first_outcomes:
                await first.wait()
            opened = Reading.take(*self._load.server_pids)
            await asyncio.wait(callers, timeout=self._load.seconds)
            closed = Reading.take(*self._load.server_pids)
            self._stopping = True
        return self._summary(opened, closed)

    async def _call(self, first_outcome: asyncio.Event) -> None:
        """One caller, until the window closes or there is nothing left to send."""
        connection: Connection | None = None
        while (request := self._next()) is not None:
            try:
                if connection is None or connection.closed:
                    connection = await Connection.open(self._address, self._load.timeout_s)
                answer = await connection.ask(request, self._load.timeout_s)
            except NoAnswerError as error:
                self._errors[error.reason] += 1
            else:
                await self._note(answer)
            first_outcome.set()
        first_outcome.set()
        if connection is not None:
            connection.close()

    def _next(self) -> bytes | None:
        spent = self._sent >= self._load.max_requests or self._errors.total() >= MAX_FAILURES
        if self._stopping or spent:
            return None
        self._sent += 1
        return self._requests[next(self._numbers) % len(self._requests)]

    async def _note(self, answer: Answer) -> None:
        if answer.status == 200:
            self._answers.append(answer)
        elif answer.status == 503:
            self._busy += 1
            await asyncio.sleep(BUSY_PAUSE_S)
        else:
            self._errors[f"status {answer.status}"] += 1

    def _summary(self, opened: Reading, closed: Reading) -> Measurement:
        inside = [answer for answer in self._answers if opened.at_ns <= answer.ended_ns < closed.at_ns]
        latencies_ms = sorted(_latency_ms(answer) for answer in inside)
        seconds = (closed.at_ns - opened.at_ns) / 1e9
        p50_ms, p95_ms, p99_ms = (percentile(latencies_ms, share) for share in (0.50, 0.95, 0.99))
        return Measurement(
            callers=self._load.callers,
            seconds=seconds,
            sent=self._sent,
            answered=len(inside),
            rps=len(inside) / seconds,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            split_ms=_split_ms(inside),
            cores=opened.cores_until(closed),
            busy=self._busy,
            errors=dict(self._errors),
        )


def _latency_ms(answer: Answer) -> float:
    return (answer.ended_ns - answer.started_ns) / 1e6


def _split_ms(answers: Sequence[Answer]) -> dict[str, float]:
    stages: dict[str, list[float]] = {}
    for answer in answers:
        told = server_timing(answer.server_timing.decode("latin-1"))
        for name, ms in {**told, "rest": _latency_ms(answer) - sum(told.values())}.items():
            stages.setdefault(name, []).append(ms)
    return {name: statistics.median(values) for name, values in stages.items()}


def server_timing(header: str) -> dict[str, float]:
    """`decode;dur=1.5, inference;dur=20` → milliseconds by name; entries without a duration are left out."""
    durations = {}
    for entry in header.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "dur":
                durations[name] = float(value)
    return durations


def _load_of(arguments: Sequence[str] | None) -> Load:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loadgen", description="Closed-loop load; JSON out."
    )
    parser.add_argument("url")
    parser.add_argument("bodies", nargs="+", type=Path, help="files to POST, in turn")
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--timeout-s", type=float, default=TIMEOUT_S, help="of one request")
    parser.add_argument("--max-requests", type=int, default=MAX_REQUESTS)
    parser.add_argument("--content-type", default=CONTENT_TYPE)
    parser.add_argument(
        "--header",
        dest="headers",
        action="append",
        default=[],
        help="one more, `Name: value`; may be repeated",
    )
    parser.add_argument(
        "--server-pid",
        dest="server_pids",
        action="append",
        default=[],
        type=int,
        help="read this process's CPU time as well; may be repeated",
    )
    options = vars(parser.parse_args(arguments))
    options["bodies"] = tuple(path.read_bytes() for path in options["bodies"])
    lists = {name: tuple(options[name]) for name in ("headers", "server_pids")}
    return Load(**{**options, **lists})


def main(arguments: Sequence[str] | None = None) -> None:
    try:
        measurement = measure(_load_of(arguments))
    except (NotLoopbackError, OSError) as error:
        sys.exit(str(error))
    print(json.dumps(asdict(measurement)))


if __name__ == "__main__":
    main()
