"""A load from several processes at once: callers or rate split over them, one window, one measurement.

One Python process sends some thousands of small requests a second, and a GPU answers more than that. Each process
gets ready, is told the moment, and what they saw is put together, latency by latency.
"""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from benchmarks.load.arrivals import POISSON
from benchmarks.load.ask import LEGACY, Ask, LoadFailedError
from benchmarks.load.measurement import Measurement
from benchmarks.load.open_loop import LEAD_S, MOST_OPEN
from benchmarks.load.opening import READY
from benchmarks.load.outcome import Outcome, merged
from benchmarks.load.part import CLOSED, OPEN, Order
from benchmarks.processes import ROOT, Server, ended

START_S = 30.0  # until a process has read what it is to send; python on a busy machine
AHEAD_NS = 100_000_000  # the moment is told that much before it comes
PART = "benchmarks.load.part"

_OUTCOME = TypeAdapter(Outcome)


@dataclass(frozen=True, slots=True)
class Part:
    """A process to start, and the line that says what it is to send."""

    line: bytes
    module: str = PART


def closed_loop(
    server: Server,
    bodies: Sequence[Path],
    callers: int,
    seconds: float,
    timeout_s: float,
    ask: Ask = LEGACY,
    behind: Sequence[Server] = (),
    processes: int = 1,
) -> Measurement:
    """N callers, split over the processes; `behind`: whom the server asks in its turn, whose CPU time counts too."""
    shares = [len(range(number, callers, processes)) for number in range(min(processes, callers))]
    settings = [
        {"callers": share, "seconds": seconds, "timeout_s": timeout_s, **_common(server, ask)}
        for share in shares
    ]
    return measured(_parts(CLOSED, bodies, settings, (server, *behind)), seconds + 4 * timeout_s)


def open_loop(
    server: Server,
    bodies: Sequence[Path],
    rate_rps: float,
    seconds: float,
    timeout_s: float,
    ask: Ask = LEGACY,
    behind: Sequence[Server] = (),
    processes: int = 1,
    arrivals: str = POISSON,
    lead_s: float = LEAD_S,
    most_open: int = MOST_OPEN,
) -> Measurement:
    """`rate_rps` requests fall due each second, whatever the answers; `most_open` in all processes together."""
    shared = {
        "rate_rps": rate_rps, "seconds": seconds, "timeout_s": timeout_s, "arrivals": arrivals, "lead_s": lead_s,
        "most_open": max(1, most_open // processes), "parts": processes, **_common(server, ask),
    }  # fmt: skip
    settings = [{**shared, "part": number} for number in range(processes)]
    return measured(_parts(OPEN, bodies, settings, (server, *behind)), lead_s + seconds + 2 * timeout_s)


def measured(parts: Sequence[Part], longest_s: float) -> Measurement:
    """All parts at once; each has ended when this returns, or is interrupted."""
    with ExitStack() as stack:
        children = [stack.enter_context(_started(part)) for part in parts]
        for child in children:
            child.wait_until_ready(START_S + longest_s)
        opens_ns = time.perf_counter_ns() + AHEAD_NS
        for child in children:
            child.tell(b"%d\n" % opens_ns)
        gives_up_at = time.monotonic() + longest_s + 30
        return merged([child.outcome(gives_up_at) for child in children])


def _common(server: Server, ask: Ask) -> dict[str, object]:
    url = f"{server.url}{ask.path}"
    return {"url": url, "content_type": ask.content_type, "headers": list(ask.headers)}


def _parts(
    loop: str, bodies: Sequence[Path], settings: Sequence[dict[str, object]], servers: Sequence[Server]
) -> list[Part]:
    """Each begins with another body; the first reads the servers' CPU time for all."""
    pids = [server.pid for server in servers]
    orders = []
    for number, own in enumerate(settings):
        turned = (*bodies[number % len(bodies) :], *bodies[: number % len(bodies)])
        orders.append(Order(loop, turned, {**own, "server_pids": [] if number else pids}))
    return [Part(order.line) for order in orders]


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def wait_until_ready(self, longest_s: float) -> None:
        """In a closed loop each of its callers has had an answer by then."""
        stdout = self.process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], longest_s)[0]:
            raise LoadFailedError(f"a generator was not ready within {longest_s:.0f} s")
        if stdout.readline().strip().decode() != READY:
            self.process.wait()
            raise LoadFailedError(self._log())

    def tell(self, line: bytes) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(line)
        stdin.flush()

    def outcome(self, gives_up_at: float) -> Outcome:
        try:
            said, _ = self.process.communicate(timeout=max(0.1, gives_up_at - time.monotonic()))
            return _OUTCOME.validate_json(said)
        except subprocess.TimeoutExpired as error:
            raise LoadFailedError("a generator said nothing in time") from error
        except ValidationError as error:
            raise LoadFailedError(
                self._log() or f"a generator ended with {self.process.returncode}: {error}"
            ) from error

    def _log(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip()


@contextmanager
def _started(part: Part) -> Iterator[_Child]:
    command = [sys.executable, "-m", part.module]
    with tempfile.TemporaryFile() as errors:
        # A session of its own: Ctrl-C reaches this process only, which then ends its children in order.
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        with ended(process):
            child = _Child(process, errors)
            child.tell(part.line)
            yield child
