"""Several workers of one launcher, as `uvicorn --workers N` makes them: their figures add up, dead ones' too."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import httpx
import pytest

from backend.observe import workers
from tests.services import free_port

pytestmark = pytest.mark.beside

WAIT_S = 60


@dataclass(frozen=True)
class Fleet:
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, method: str, path: str, **query) -> httpx.Response:
        """On a connection of its own, so that any worker may get it."""
        response = httpx.request(
            method, f"http://127.0.0.1:{self.port}{path}", params=query, timeout=30, trust_env=False
        )
        response.raise_for_status()
        return response

    def of_each(self, count: int, method: str, path: str, **query) -> dict[int, dict]:
        """What each of so many workers answered; asked until all have been met."""
        answers: dict[int, dict] = {}

        def all_met() -> bool:
            answer = self.ask(method, path, **query).json()
            answers[answer["pid"]] = answer
            return len(answers) == count

        eventually(all_met, self.log)
        return answers

    def of(self, pid: int, path: str, **query) -> None:
        """Ask until this worker has got it; the others do nothing."""
        eventually(lambda: self.ask("POST", path, only=pid, **query).json()["pid"] == pid, self.log)

    def value(self, line: str) -> float | None:
        for text in self.ask("GET", "/metrics").text.splitlines():
            if text.startswith(line + " "):
                return float(text.rsplit(" ", 1)[1])
        return None


def eventually(holds: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:  # a worker that was killed took its connections with it
            pass
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.02)


@contextmanager
def fleet(var: Path, count: int = 2) -> Iterator[Fleet]:
    port, log = free_port(), var / f"uvicorn-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "uvicorn", "--factory", "tests.counting_app:app", "--port", str(port),
                "--workers", str(count), "--log-level", "warning",
            ],
            env={**os.environ, "CROSSFADE_VAR": str(var)}, stdout=out, stderr=out,
        )  # fmt: skip
        try:
            running = Fleet(port, process, log)
            running.of_each(count, "GET", "/who")
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("var")) as running:
        yield running


IN_FLIGHT = 'detector_inflight{backend="triton"}'
BREAKER = 'detector_breaker_state{backend="triton",detector="yolo26"}'
EFFECTIVE = 'rollout_effective_fraction{detector="yolo26"}'
READY = 'detector_ready{backend="triton",detector="yolo26"}'
DISAGREEMENT = 'shadow_disagreement_ratio{detector="yolo26"}'
SERVED = 'detector_requests_total{backend="triton",detector="yolo26",outcome="ok"}'
QUICK = 'detector_request_duration_seconds_bucket{backend="triton",detector="yolo26",le="0.05"}'


def test_the_workers_share_a_directory_and_no_name(two):
    answers = two.of_each(2, "GET", "/who").values()
    assert len({answer["directory"] for answer in answers}) == 1
    assert len({answer["worker"] for answer in answers}) == 2


def test_counters_and_histograms_of_all_workers_add_up_whoever_is_scraped(two):
    done = {"n": 0}
    pids: set[int] = set()

    def both_worked() -> bool:
        pids.add(two.ask("POST", "/work").json()["pid"])
        done["n"] += 1
        return len(pids) == 2 and done["n"] >= 20

    before = two.value(SERVED) or 0
    quick = two.value(QUICK) or 0
    eventually(both_worked, two.log)
    for _ in range(10):  # each time perhaps from another worker
        assert two.value(SERVED) == before + done["n"]
        assert two.value(QUICK) == quick + done["n"]


def test_of_states_the_worst_worker_shows(two):
    ill, _ = two.of_each(2, "POST", "/state", in_flight=2, breaker="closed", version=9, effective=0.0)
    assert (two.value(IN_FLIGHT), two.value(BREAKER), two.value("rollout_flag_version")) == (4, 0, 9)
    two.of(ill, "/state", in_flight=3, breaker="open", version=8, effective=0.5, stale=True)
    assert (two.value(IN_FLIGHT), two.value(BREAKER), two.value("rollout_flag_version")) == (5, 2, 8)
    assert (two.value(EFFECTIVE), two.value("rollout_stale")) == (0.5, 1)


def test_who_has_nothing_to_say_hides_nobody_who_has_whichever_file_is_read_first(two):
    first, second = two.of_each(2, "GET", "/who")
    for knows, does_not in ((first, second), (second, first)):
        two.of(knows, "/known", ready=False, disagreement=0.25)
        two.of(does_not, "/known")
        for _ in range(5):  # each time perhaps from another worker
            assert (two.value(READY), two.value(DISAGREEMENT)) == (0, 0.25)
    two.of(first, "/known")
    two.of(second, "/known")
    assert math.isnan(two.value(READY)), "nobody knows"
    assert math.isnan(two.value(DISAGREEMENT))


def test_of_a_killed_worker_the_gauges_go_and_the_counters_stay(tmp_path):
    with fleet(tmp_path) as running:
        victim, other = running.of_each(2, "POST", "/work")
        running.of_each(2, "POST", "/state", in_flight=7, breaker="closed", version=1, effective=0.1)
        served = running.value(SERVED)
        assert running.value(IN_FLIGHT) == 14
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: running.value(IN_FLIGHT) == 7, running.log)
        born = running.of_each(2, "GET", "/who")
        assert victim not in born
        assert other in born
        assert running.value(IN_FLIGHT) == 7
        assert running.value(SERVED) == served
        assert list(tmp_path.glob(f"run/metrics-*/counter_{victim}.db"))
        assert not list(tmp_path.glob(f"run/metrics-*/gauge_*_{victim}.db"))


def test_a_scrape_never_fails_while_workers_die_and_come(tmp_path):
    with fleet(tmp_path) as running:
        for _ in range(3):
            victim = next(iter(running.of_each(2, "POST", "/work")))
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: len(set(running.of_each(2, "GET", "/who")) - {victim}) == 2, running.log)  # noqa: B023
            assert running.value(SERVED)


def test_a_file_that_a_worker_died_over_stops_no_scrape(two):
    directory = Path(two.ask("GET", "/who").json()["directory"])
    empty = directory / "counter_1.db"
    empty.write_bytes(b"")
    try:
        assert two.value("detector_retries_total") is not None
    finally:
        empty.unlink()


def test_what_a_dead_launcher_left_goes_and_what_a_living_one_has_stays(tmp_path):
    with fleet(tmp_path, 2) as first:
        living = Path(next(iter(first.of_each(2, "GET", "/who").values()))["directory"])
        host, _, moment = living.name.rpartition(f"-{first.process.pid}-")
        stale = living.parent / f"{host}-{first.process.pid}-00000000"  # the same id, another life
        elsewhere = living.parent / f"{host}x-{first.process.pid}-{moment}"  # of another host, which may live
        for left in (stale, elsewhere):
            left.mkdir()
            (left / "counter_1.db").write_bytes(b"")
        with fleet(tmp_path, 4) as second:
            assert len(second.of_each(4, "GET", "/who")) == 4
            assert not stale.exists()
            assert elsewhere.exists()
            assert living.exists()
            assert first.ask("GET", "/metrics").status_code == 200


def test_a_lone_process_has_no_directory(tmp_path):
    assert workers.metrics_directory(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_imported_prometheus_too_early_says_so(tmp_path):
    done = child_of_a_launcher(
        tmp_path,
        """
        import prometheus_client
        workers.metrics_directory(var)
        """,
    )
    assert done.returncode == 1
    assert "prometheus_client was imported before" in done.stderr


def test_a_worker_that_got_a_dead_ones_id_does_not_go_on_with_its_gauges(tmp_path):
    done = child_of_a_launcher(
        tmp_path,
        """
        directory = workers.metrics_directory(var)
        from backend.observe.events import HeadroomMeasured, InFlight, Retried
        from backend.observe.metrics import Metrics
        from prometheus_client import values
        life = Metrics(directory)
        life(InFlight("triton", 7))
        life(HeadroomMeasured("yolo26", 0.5))
        life(Retried("yolo26", "triton"))
        values.ValueClass.close_all_files()
        print(Metrics(directory).render().decode())
        """,
    )
    assert IN_FLIGHT + " 0.0" in done.stdout, done.stderr
    assert "detector_fallback_headroom_ratio{" not in done.stdout
    assert "detector_retries_total 1.0" in done.stdout


def child_of_a_launcher(var: Path, body: str) -> subprocess.CompletedProcess[str]:
    """These lines in a process that is started as uvicorn starts a worker."""
    script = var / "launcher.py"
    script.write_text(
        "import multiprocessing, pathlib\n"
        "from backend.observe import workers\n"
        "def child():\n"
        "    var = pathlib.Path('.')\n" + indent(dedent(body), "    ") + "\n"
        "if __name__ == '__main__':\n"
        "    one = multiprocessing.get_context('spawn').Process(target=child)\n"
        "    one.start(); one.join(); raise SystemExit(one.exitcode)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, str(script)], cwd=var, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_the_id_of_a_worker_is_a_file_name_and_stays():
    name = workers.worker_id()
    assert name == workers.worker_id()
    assert str(os.getpid()) in name
    assert Path(name).name == name
