"""The open loop, several generators at once, and the search for the highest rate that is answered in time."""

import asyncio
import itertools
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load import arrivals, open_loop
from benchmarks.load.ask import Ask, LoadFailedError
from benchmarks.load.measurement import Measurement, Offered
from benchmarks.load.open_loop import OpenLoad
from benchmarks.load.outcome import Outcome, merged
from benchmarks.load.part import CLOSED, Order
from benchmarks.load.search import highest_rate, in_time
from benchmarks.load.several import closed_loop
from benchmarks.load.several import open_loop as open_loop_of_several
from benchmarks.loadgen import Load, measure
from benchmarks.meter import Cores
from benchmarks.processes import ROOT, Server
from tests.services import free_port

pytestmark = pytest.mark.alone

BODY = b"x" * 100


@contextmanager
def one_at_a_time(seconds: float, status: bytes = b"200 OK") -> Iterator[str]:
    """A server that serves one request after the other, each in `seconds`."""
    port, told, up = free_port(), threading.Event(), threading.Event()
    answer_bytes = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"

    async def serve() -> None:
        turn = asyncio.Lock()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(len(BODY))
                    async with turn:
                        await asyncio.sleep(seconds)
                    writer.write(answer_bytes)
            writer.close()

        await asyncio.start_server(answer, "127.0.0.1", port)
        up.set()
        await asyncio.to_thread(told.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        told.set()
        thread.join()


# --- arrivals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 3])
def test_even_requests_of_several_processes_interleave(parts: int) -> None:
    """Together they are as evenly spaced as those of one."""
    moments = sorted(
        moment for part in range(parts) for moment in arrivals.moments_s("even", 30.0, 2.0, part, parts)
    )
    assert len(moments) == 60
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert gaps == pytest.approx([1 / 30] * 59)


@pytest.mark.parametrize("parts", [1, 4])
def test_poisson_requests_come_at_the_rate_and_as_unevenly_as_chance_makes_them(parts: int) -> None:
    """Gaps whose standard deviation is their mean, whatever number of processes sends."""
    streams = [list(arrivals.moments_s("poisson", 100.0, 200.0, part, parts)) for part in range(parts)]
    moments = sorted(itertools.chain(*streams))
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert len(moments) == pytest.approx(20_000, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)
    assert len({tuple(stream[:3]) for stream in streams}) == parts, "two processes send the same stream"


# --- one open loop --------------------------------------------------------------------------------------------


def test_what_queues_is_in_the_latency_and_a_closed_loop_does_not_see_it() -> None:
    """20 ms each, 100 due a second: they pile up. Two callers in a closed loop wait for one another."""
    with one_at_a_time(0.02) as url:
        closed = measure(Load(url, (BODY,), callers=2, seconds=0.5))
        opened = open_loop.measure(OpenLoad(url, (BODY,), 100.0, 0.5, "even", lead_s=0.2))
    assert opened.offered is not None
    assert opened.offered.due == opened.answered == 50, "a request that was due is missing"
    assert opened.failures == 0
    assert opened.rps < 75, "more was answered than the server can"
    assert opened.p95_ms > 3 * closed.p95_ms


def test_a_server_that_keeps_up_is_asked_at_the_rate() -> None:
    with one_at_a_time(0.0) as url:
        run = open_loop.measure(OpenLoad(url, (BODY,), 50.0, 1.0, "even", lead_s=0.2))
    assert run.offered is not None
    assert run.offered == replace(run.offered, rate_rps=50.0, arrivals="even", due=50)
    assert (run.answered, run.sent, run.failures) == (50, 60, 0)
    assert not in_time(run, run.p95_ms / 2)


def test_no_more_are_open_than_allowed_and_those_that_wait_too_long_fail() -> None:
    """One connection, 0.1 s an answer, 0.3 s of patience: of twenty a second most are never answered in time."""
    with one_at_a_time(0.1) as url:
        load = OpenLoad(url, (BODY,), 20.0, 1.0, "even", lead_s=0.0, most_open=1, timeout_s=0.35)
        run = open_loop.measure(load)
    assert run.answered >= 1
    assert run.errors["timeout"] >= 5
    assert run.answered + run.failures == run.sent == 20


def test_a_full_server_is_no_answer() -> None:
    with one_at_a_time(0.0, b"503 Service Unavailable") as url:
        run = open_loop.measure(OpenLoad(url, (BODY,), 20.0, 0.5, "even", lead_s=0.0))
    assert (run.answered, run.busy, run.errors) == (0, 10, {})
    assert not in_time(run, 1e9)


# --- several processes ----------------------------------------------------------------------------------------


def outcome(latencies_ms: list[float], cores: Cores, **changes: object) -> Outcome:
    whole = Outcome(
        2, 2.0, 10, len(latencies_ms), latencies_ms, {"rest": latencies_ms}, cores, 1, {"timeout": 1}, []
    )
    return replace(whole, **changes)


def test_what_several_saw_is_one_measurement() -> None:
    """Percentiles of all latencies, not means of percentiles; a fellow's processor time is no other's."""
    slow = outcome([100.0] * 6, Cores(1.0, 0.25, 0.75))
    quick = outcome([1.0] * 94, Cores(None, 0.5, None), errors={"closed": 2})
    both = merged([slow, quick])
    assert (both.callers, both.sent, both.answered, both.rps) == (4, 20, 100, 50.0)
    assert (both.p50_ms, both.p95_ms, both.split_ms) == (1.0, 100.0, {"rest": 1.0})
    assert both.cores == Cores(1.0, 0.75, 0.25)
    assert (both.busy, both.errors, both.failures) == (2, {"timeout": 1, "closed": 2}, 5)
    assert both.processes == 2


def test_callers_and_rate_are_split_over_processes(tmp_path: Path) -> None:
    """Three callers over two processes, and twenty a second over two, against one real server."""
    body = tmp_path / "body"
    body.write_bytes(BODY)
    with one_at_a_time(0.01) as url:
        server, ask = Server(pid=1, url=url, health={}), Ask("/")
        closed = closed_loop(server, [body], 3, 0.5, 5.0, ask, processes=2)
        opened = open_loop_of_several(
            server, [body], 20.0, 0.5, 5.0, ask, processes=2, arrivals="even", lead_s=0.1
        )
    assert (closed.callers, closed.processes, closed.failures) == (3, 2, 0)
    assert closed.p50_ms > 20, "three callers do not wait for one another"
    assert (opened.processes, opened.offered.rate_rps, opened.offered.due) == (2, 20.0, 10)
    assert (opened.answered, opened.failures) == (10, 0)


def test_a_generator_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BODY)
    elsewhere = Server(pid=1, url="http://192.0.2.1:80", health={})
    with pytest.raises(LoadFailedError, match="this machine only"):
        closed_loop(elsewhere, [tmp_path / "body"], 2, 0.1, 1.0, processes=2)


def test_a_generator_whose_parent_is_gone_ends(tmp_path: Path) -> None:
    """Nobody tells it the moment any more: it would send for ever."""
    (tmp_path / "body").write_bytes(BODY)
    with one_at_a_time(0.001) as url:
        settings = {"url": url, "callers": 2, "seconds": 60.0, "server_pids": []}
        order = Order(CLOSED, (tmp_path / "body",), settings)
        command = [sys.executable, "-m", "benchmarks.load.part"]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as part:
            part.stdin.write(order.line)
            part.stdin.flush()
            assert part.stdout.readline() == b"ready\n"
            _, complaint = part.communicate(timeout=20)
    assert part.returncode == 1
    assert complaint == b"left alone before the window opened\n"


# --- the search -----------------------------------------------------------------------------------------------


def window(rate_rps: float, p95: float | None, **changes: object) -> Measurement:
    due = round(rate_rps * 10)
    offered = Offered(rate_rps, "poisson", due, 0.1)
    plain = Measurement(
        256, 10.0, due, due, rate_rps, 10.0, p95, p95, {}, Cores(None, 0.1, None), 0, {}, offered
    )
    return replace(plain, **changes)


def holding_until(limit_rps: float, tried: list[float]):
    def attempt(rate_rps: float) -> Measurement:
        tried.append(rate_rps)
        return window(rate_rps, 20.0 if rate_rps <= limit_rps else 500.0)

    return attempt


@pytest.mark.parametrize("first_rps", [0.5, 10.0, 600.0])
@pytest.mark.parametrize("limit_rps", [0.7, 3.0, 47.3, 433.0])
def test_the_highest_rate_is_found_from_below_and_from_above(limit_rps: float, first_rps: float) -> None:
    tried: list[float] = []
    held = highest_rate(holding_until(limit_rps, tried), 100.0, first_rps, 1000.0)
    assert limit_rps - max(0.2, 0.06 * limit_rps) <= held.rate_rps <= limit_rps
    assert held.p95_ms == 20.0
    assert len(tried) == len(set(tried)) == len(held.tried) < 25
    assert [one.held for one in held.tried] == [one.rate_rps <= limit_rps for one in held.tried]


def test_what_holds_nothing_holds_nothing() -> None:
    held = highest_rate(holding_until(0.0, []), 100.0, 64.0, 1000.0)
    assert (held.rate_rps, held.p95_ms) == (0.0, None)


def test_most_windows_decide_and_no_more_are_tried_than_that_takes() -> None:
    """Of three windows one was disturbed: the rate is held. Two that agree end it."""
    times_ms = iter([500.0, 20.0, 20.0, 500.0, 500.0])
    held = highest_rate(lambda rate: window(rate, next(times_ms)), 100.0, 8.0, 15.0, windows=3, grain=1.0)
    assert (held.rate_rps, [len(one.windows) for one in held.tried]) == (8.0, [3])
    assert list(times_ms) == [500.0, 500.0]


@pytest.mark.parametrize(
    ("changes", "good"),
    [({}, True), ({"busy": 1}, False), ({"errors": {"timeout": 1}}, False), ({"p95_ms": None}, False),
     ({"rps": 70.0}, False), ({"rps": 97.0}, True)],
    ids=["as it should be", "one was refused", "one was not answered", "none was", "they pile up", "by chance fewer"],
)  # fmt: skip
def test_in_time_is_no_failure_a_low_p95_and_nothing_that_piles_up(
    changes: dict[str, object], good: bool
) -> None:
    assert in_time(window(100.0, 20.0, **changes), 100.0) is good
