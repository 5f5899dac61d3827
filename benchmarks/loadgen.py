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
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import uvloop

from benchmarks.load.measurement import Measurement, percentile, server_timing
from benchmarks.load.opening import Opening, at_once, sleep_until
from benchmarks.load.outcome import Outcome, merged
from benchmarks.load.tally import Tally
from benchmarks.meter import Reading
from benchmarks.wire import Address, Connection, NoAnswerError, NotLoopbackError

__all__ = ["ClosedLoop", "Load", "Measurement", "measure", "outcome_of", "percentile", "server_timing"]

TIMEOUT_S = 30.0
MAX_REQUESTS = 1_000_000  # a bound on memory: each answer in the window is kept
CONTENT_TYPE = "image/jpeg"
BUSY_PAUSE_S = 0.05  # after a 503, or a caller would turn in a tight loop


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


def measure(load: Load) -> Measurement:
    return merged([outcome_of(load, at_once)])


def outcome_of(load: Load, opening: Opening) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_OverHttp(load).outcome(opening))


class ClosedLoop:
    """N callers and a window; what one caller does until it is told to stop is a subclass's."""

    def __init__(
        self,
        requests: Sequence[bytes],
        callers: int,
        seconds: float,
        server_pids: Sequence[int],
        max_requests: int,
    ) -> None:
        self._requests = requests
        self._callers = callers
        self._seconds = seconds
        self._server_pids = server_pids
        self._numbers = count()
        self._stopping = False
        self._tally = Tally(max_requests)

    async def outcome(self, opening: Opening) -> Outcome:
        first_outcomes = [asyncio.Event() for _ in range(self._callers)]
        async with asyncio.TaskGroup() as group:  # a caller that breaks ends the run, instead of hanging it
            callers = [group.create_task(self._call(first)) for first in first_outcomes]
            for first in first_outcomes:
                await first.wait()
            await sleep_until(await opening())
            opened = Reading.take(*self._server_pids)
            await asyncio.wait(callers, timeout=self._seconds)
            closed = Reading.take(*self._server_pids)
            self._stopping = True
        return Outcome.of(self._callers, self._tally, opened, closed)

    async def _call(self, first_outcome: asyncio.Event) -> None:
        """One caller, until the window closes or there is nothing left to send."""
        raise NotImplementedError

    def _next(self) -> bytes | None:
        if self._stopping or self._tally.spent:
            return None
        self._tally.sent += 1
        return self._requests[next(self._numbers) % len(self._requests)]


class _OverHttp(ClosedLoop):
    def __init__(self, load: Load) -> None:
        self._timeout_s = load.timeout_s
        self._address = Address.of(load.url)
        requests = [self._address.request(body, load.content_type, load.headers) for body in load.bodies]
        super().__init__(requests, load.callers, load.seconds, load.server_pids, load.max_requests)

    async def _call(self, first_outcome: asyncio.Event) -> None:
        connection: Connection | None = None
        while (request := self._next()) is not None:
            try:
                if connection is None or connection.closed:
                    connection = await Connection.open(self._address, self._timeout_s)
                answer = await connection.ask(request, self._timeout_s)
            except NoAnswerError as error:
                self._tally.errors[error.reason] += 1
            else:
                self._tally.note(answer, answer.started_ns)
                if answer.status == 503:
                    await asyncio.sleep(BUSY_PAUSE_S)
            first_outcome.set()
        first_outcome.set()
        if connection is not None:
            connection.close()


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
