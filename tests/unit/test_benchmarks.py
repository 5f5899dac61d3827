from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from benchmarks import baseline, loadgen, meter, suite
from benchmarks.loadgen import Load, measure, percentile, server_timing
from benchmarks.machine import this_machine
from benchmarks.plot import draw
from benchmarks.processes import ROOT, NotStartedError, Program, do_nothing, running
from benchmarks.report import Report, Settings, Spread, beside_ceiling, summarise
from benchmarks.table import as_text, warnings
from benchmarks.wire import NotLoopbackError

pytestmark = pytest.mark.alone

BODIES = (b"first", b"the second", b"x" * 200_000)


@dataclass(slots=True)
class Seen:
    url: str
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


Behaviour = Callable[[BaseHTTPRequestHandler], None]


def say(status: int, timing: str = "") -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "2")
        handler.send_header("Server-Timing", timing)
        handler.end_headers()
        handler.wfile.write(b"{}")

    return behave


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.0)
    handler.close_connection = True


def babble(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"this is not HTTP\r\n\r\n")


def answer_and_close(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.send_header("Connection", "close")
    handler.end_headers()


@contextmanager
def server(behaviour: Behaviour) -> Iterator[Seen]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # it writes head and body apart, and would wait 40 ms between them

        def do_POST(self) -> None:
            seen.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            seen.headers.append(dict(self.headers))
            behaviour(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        seen = Seen(f"http://127.0.0.1:{httpd.server_address[1]}/detect")
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield seen
        finally:
            httpd.shutdown()
            thread.join()


def load(seen: Seen, **changes: object) -> Load:
    return replace(Load(seen.url, BODIES, callers=3, seconds=0.3, timeout_s=2.0), **changes)


def test_counts_what_the_server_counted() -> None:
    """Every request that the server saw is in `sent`, whole, and no other."""
    with server(say(200)) as seen:
        run = measure(load(seen))
    assert run.sent == len(seen.bodies) > 20
    assert set(seen.bodies) == set(BODIES)
    assert 20 < run.answered < run.sent  # not those before the window, nor those still open at its end
    assert run.rps == pytest.approx(run.answered / run.seconds)
    assert (run.errors, run.busy) == ({}, 0)


def test_bodies_are_sent_in_turn_and_no_more_than_allowed() -> None:
    """Seven requests of three bodies: each twice, the first three times, and then it ends."""
    with server(say(200)) as seen:
        run = measure(load(seen, callers=1, seconds=30, max_requests=7))
    assert run.sent == 7
    assert seen.bodies == [*BODIES, *BODIES, BODIES[0]]


def test_more_headers_can_be_sent() -> None:
    """A protocol may want more than a type and a length."""
    with server(say(200)) as seen:
        more = ("X-First: 1", "X-Second: two")
        measure(load(seen, seconds=30, max_requests=3, content_type="text/plain", headers=more))
    for headers in seen.headers:
        assert (headers["X-First"], headers["X-Second"], headers["Content-Type"]) == (
            "1",
            "two",
            "text/plain",
        )
    assert len(seen.headers) == 3


def test_never_more_open_than_callers() -> None:
    """The loop is closed: four callers, four requests at a time."""
    open_now, most, lock = 0, 0, threading.Lock()

    def count_open(handler: BaseHTTPRequestHandler) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        time.sleep(0.02)
        with lock:
            open_now -= 1
        say(200)(handler)

    with server(count_open) as seen:
        run = measure(load(seen, callers=4))
    assert most == 4
    assert run.p50_ms is not None
    assert 20 <= run.p50_ms < 200
    assert run.rps <= 4 / 0.02


def test_split_is_what_server_timing_says() -> None:
    """Stages are the server's, `rest` is what they leave of the caller's latency."""
    with server(say(200, "decode;dur=0.25, inference;desc=gpu;dur=0.5, cached")) as seen:
        run = measure(load(seen))
    assert run.split_ms["decode"] == 0.25
    assert run.split_ms["inference"] == 0.5
    assert run.p50_ms is not None
    assert run.split_ms["rest"] == pytest.approx(run.p50_ms - 0.75, rel=0.05)
    assert set(run.split_ms) == {"decode", "inference", "rest"}


def test_server_timing_header() -> None:
    """Entries without a duration are left out, an empty header is no stage."""
    assert server_timing("decode;dur=1.5, miss, db;desc=x;dur=20") == {"decode": 1.5, "db": 20.0}
    assert server_timing("") == {}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_of_a_known_distribution(share: float, expected: int) -> None:
    """Of 1..100 the p-th percentile is p: a value that was measured, never one in between."""
    assert percentile(range(1, 101), share) == expected


def test_percentile_of_few() -> None:
    """Of one value it is that value, of none there is none."""
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.99) is None


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(say(500), "status 500"), (say(413), "status 413"), (hang_up, "closed"), (babble, "garbled")],
    ids=["500", "413", "hangs up", "babbles"],
)
def test_failures_are_counted_by_reason(behaviour: Behaviour, reason: str) -> None:
    """None of them is an answer, and a hundred of them end the run long before its window."""
    with server(behaviour) as seen:
        run = measure(load(seen, seconds=30.0))
    assert (run.answered, run.p50_ms, run.p99_ms) == (0, None, None)
    assert set(run.errors) == {reason}
    assert 100 <= run.errors[reason] <= 100 + run.callers
    assert run.sent == run.errors[reason]


def test_a_server_that_hangs_ends_by_the_timeout() -> None:
    """A request without an answer costs its timeout, not the run."""
    started = time.monotonic()
    with server(hang) as seen:
        run = measure(load(seen, seconds=0.3, timeout_s=0.2))
        took_s = time.monotonic() - started
    assert set(run.errors) == {"timeout"}
    assert run.answered == 0
    assert took_s < 0.3 + 4 * 0.2


def test_nobody_listens() -> None:
    """A refused connection is an error of its own name."""
    with server(say(200)) as gone:
        pass
    assert set(measure(load(gone)).errors) == {"refused"}


def test_full_queue_is_no_error() -> None:
    """503 is counted as busy, and its caller waits a little."""
    with server(say(503)) as seen:
        run = measure(load(seen))
    assert run.errors == {}
    assert run.busy == run.sent == len(seen.bodies)
    assert run.sent <= run.callers * (2 + 0.3 / loadgen.BUSY_PAUSE_S)


def test_a_server_that_closes_after_each_answer_is_asked_again() -> None:
    """`Connection: close` is obeyed and is no error."""
    with server(answer_and_close) as seen:
        run = measure(load(seen))
    assert run.errors == {}
    assert run.sent == len(seen.bodies) > 10


@pytest.mark.parametrize(
    "url", ["http://example.com/detect", "http://192.0.2.1/", "https://127.0.0.1/", "http:///"]
)
def test_load_goes_to_this_machine_only(url: str) -> None:
    """Any other address is refused before a byte is sent."""
    with pytest.raises(NotLoopbackError):
        measure(Load(url, BODIES, 1, 0.1))


def test_as_a_command(tmp_path: Path) -> None:
    """`python -m benchmarks.loadgen` says in JSON what it measured, of the server's processor too."""
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"picture")
    with server(say(200)) as seen:
        command = [sys.executable, "-m", "benchmarks.loadgen", seen.url, str(picture), "--seconds=0.3"]
        more = [f"--server-pid={os.getpid()}", "--header=X-More: 1", "--content-type=image/png"]
        answer = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, check=True)
    said = json.loads(answer.stdout)
    assert said["sent"] == len(seen.bodies)
    assert set(seen.bodies) == {b"picture"}
    assert (seen.headers[0]["X-More"], seen.headers[0]["Content-Type"]) == ("1", "image/png")
    assert said["cores"]["server"] > 0


def test_meter_sees_a_busy_process() -> None:
    """Half a second of spinning here is about one core of our own."""
    before = meter.Reading.take()
    while time.perf_counter_ns() - before.at_ns < 300_000_000:
        pass
    cores = before.cores_until(meter.Reading.take())
    assert 0.3 < cores.loadgen <= 1.05
    assert cores.server is None


def test_server_has_ended_when_the_block_raises() -> None:
    """No exception leaves a process behind."""
    pids = []

    def fail() -> None:
        with running(do_nothing()) as started:
            pids.append(started.pid)
            assert psutil.pid_exists(started.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not psutil.pid_exists(pids[0])


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_server_has_ended_after_a_signal(number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and SIGHUP to the benchmark end what it started, and then itself."""
    script = """
import signal, time
from benchmarks.processes import do_nothing, end_well_on_signals, running
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
end_well_on_signals()
with running(do_nothing()) as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert psutil.pid_exists(child)
        process.send_signal(number)
        assert process.wait(10) != 0
    assert not psutil.pid_exists(child)


def test_a_server_that_ends_at_once_is_told_with_its_log() -> None:
    """The reason is in the message, not in a file that is gone."""
    broken = Program("broken", lambda port: [sys.executable, "-c", "raise SystemExit('no weights here')"])
    with pytest.raises(NotStartedError, match="no weights here"), running(broken):
        pass


def test_a_server_that_never_answers_is_ended() -> None:
    """Waiting for health has an end, and so has the process."""
    sleeper = Program(
        "sleeper", lambda port: [sys.executable, "-c", f"import time; time.sleep(60)  # {port}"]
    )
    with pytest.raises(NotStartedError, match="not healthy within"), running(sleeper, start_s=0.3):
        pass
    ours = psutil.Process().children()
    assert not [child for child in ours if "time.sleep(60)" in " ".join(child.cmdline())]


def test_machine_is_named() -> None:
    """Processor, cores, memory, GPUs, system and versions: what makes a figure one of this machine."""
    machine = this_machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.memory_gib > 0
    assert machine.os
    assert machine.python == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "numpy", "uvicorn"} <= set(machine.packages)
    assert machine.cpu in machine.title


SETTINGS = Settings(
    services=("yolo26",),
    callers=(1, 2),
    sizes=("128x72", "192x108"),
    seconds=0.2,
    ceiling_seconds=0.2,
    repeats=1,
    timeout_s=5.0,
    pictures_per_size=8,
    jpeg_quality=90,
)


def test_a_cell_is_the_median_of_its_repeats() -> None:
    """Medians of rate, latency and split, the rate's ends beside it; requests and errors are added up."""
    with server(say(200, "decode;dur=1")) as seen:
        run = measure(load(seen, callers=1, max_requests=50, seconds=30))
    runs = [
        replace(run, rps=rate, p95_ms=p95_ms, answered=10, errors=errors, split_ms={"decode": rate})
        for rate, p95_ms, errors in [
            (30.0, 5.0, {"timeout": 1}),
            (10.0, 7.0, {"timeout": 2}),
            (20.0, None, {}),
        ]
    ]
    cell = summarise("yolo26", "64x64", 1000, runs)
    assert (cell.rps.median, cell.rps.min, cell.rps.max) == (20.0, 10.0, 30.0)
    assert cell.p95_ms == 6.0
    assert cell.split_ms == {"decode": 20.0}
    assert (cell.requests, cell.repeats, cell.errors) == (30, 3, {"timeout": 3})
    twice = beside_ceiling([cell], [replace(cell, service="nothing", rps=Spread(90.0, 80.0, 99.0))])
    assert twice[0].ceiling_ratio == 4.5


@pytest.fixture(scope="module")
def report() -> Report:
    """A whole run in which the do-nothing endpoint stands in the service's place."""
    stand_in = replace(do_nothing(), name="yolo26")
    return baseline.measure_baseline(SETTINGS, [stand_in], "test", this_machine())


def test_every_cell_is_measured(report: Report) -> None:
    """Each size at each number of callers, without an error, with the ceiling beside it."""
    assert [(cell.size, cell.callers) for cell in report.cells] == [
        ("128x72", 1), ("128x72", 2), ("192x108", 1), ("192x108", 2)
    ]  # fmt: skip
    assert len(report.ceiling) == 4
    assert report.errors == 0
    for cell in report.cells:
        assert cell.rps.min <= cell.rps.median <= cell.rps.max
        assert cell.service_cpu_cores is not None
        assert cell.ceiling_ratio is not None


def test_a_ceiling_too_near_is_flagged(report: Report) -> None:
    """A do-nothing endpoint measured against itself is no baseline, and the table says so."""
    text = as_text(report)
    assert "FLAG: the generator's ceiling is only" in text
    assert report.machine.title in text


def test_report_round_trips_and_is_drawn(report: Report, tmp_path: Path) -> None:
    """What is saved is what is read, and both pictures are made from it."""
    path = tmp_path / "results" / "baseline-test.json"
    report.save(path)
    assert Report.read(path) == report
    said = json.loads(path.read_text())
    assert said["schema_version"] == 1
    assert said["cells"][0]["rps"].keys() == {"median", "min", "max"}
    png, svg = draw(Report.read(path), path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "YOLO26: requests/s" in svg.read_text()


def test_a_cell_without_answers_is_said_not_drawn_as_nothing(report: Report, tmp_path: Path) -> None:
    """No answer gives no latency, no ratio, a line in the table, and still a figure."""
    with server(say(500)) as seen:
        run = measure(load(seen, callers=1, seconds=30.0))
    empty = beside_ceiling([summarise("yolo26", "128x72", 1000, [run, run])], report.ceiling)
    failed = replace(report, cells=(*empty, *report.cells[1:]))
    assert empty[0].ceiling_ratio is None
    assert failed.errors == 200
    assert "NOT ANSWERED: yolo26 128x72 at 1 callers: 200 x status 500" in as_text(failed)
    assert draw(failed, tmp_path / "failed.json")[0].stat().st_size > 0


def test_rows_that_others_disturbed_are_one_line_when_they_are_many(report: Report) -> None:
    quiet, busy = (replace(report.cells[0], other_cpu_cores=cores) for cores in (0.1, 0.3))
    few = list(warnings([quiet, *(replace(busy, callers=number) for number in range(5))]))
    assert few[0] == "DISTURBED: yolo26 128x72 at 0 callers: other processes kept 0.30 cores busy"
    assert len(few) == 5
    most = replace(busy, callers=5, other_cpu_cores=2.5)
    (many,) = warnings([quiet, *(replace(busy, callers=number) for number in range(5)), most])
    assert many == "DISTURBED: 6 of 7 rows: other processes kept 0.30 to 2.50 cores busy (*other CPU*)"
    assert not list(warnings([quiet]))
    assert not list(warnings([busy], cores=16))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_meter_sees_only_the_cores_that_it_may_use() -> None:
    """What spins on the other core is nobody's disturbance; on its own core it is."""
    allowed = os.sched_getaffinity(0)
    first, second = sorted(allowed)[:2]
    code = f"import os; os.sched_setaffinity(0, {{{second}}}); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as spinning:
        assert spinning.stdout is not None
        spinning.stdout.readline()
        try:
            seen = {}
            for core in (first, second):
                os.sched_setaffinity(0, {core})
                before = meter.Reading.take()
                time.sleep(0.5)
                seen[core] = meter.Reading.take().machine_s - before.machine_s
        finally:
            os.sched_setaffinity(0, allowed)
            spinning.kill()
    assert seen[second] > seen[first] + 0.2


def test_a_broken_generator_is_told(tmp_path: Path) -> None:
    """What the generator's process says on its way out is the error."""
    with running(do_nothing()) as started, pytest.raises(suite.LoadFailedError, match="No such file"):
        suite.load(started, [tmp_path / "missing.jpg"], 1, 0.1, 1.0)


def test_quick_changes_defaults_only() -> None:
    """--quick is small and lies apart from the kept results, and what is said beside it wins."""
    quick = baseline.arguments_of(["--quick", "--callers", "2"])
    assert (quick.callers, quick.sizes, quick.repeats, quick.name) == ([2], ["640x360"], 1, "quick")
    assert quick.out == ROOT / "var" / "benchmarks"
    assert baseline.arguments_of([]).callers == [1, 4, 8, 16, 32]


@pytest.mark.parametrize(
    "words", [["--seconds", "3600"], ["--callers", "0"], ["--repeats", "1000"], ["--sizes", "8x8"]]
)
def test_bounds(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A run without an end cannot be asked for."""
    with pytest.raises(SystemExit):
        baseline.arguments_of(words)
    assert words[1] in capsys.readouterr().err
