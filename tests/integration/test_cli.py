"""The `crossfade` command on this machine: the whole stack started once, asked, steered, hurt and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ai.core.sample import SAMPLE
from ai.triton.embedded import record
from backend.commands.statuses import Status
from tests.services import free_port

PROGRAM = Path(sys.executable).with_name("crossfade")
pytestmark = [
    pytest.mark.beside,
    pytest.mark.timeout(240),
]  # the start of everything, on a machine that has other things to do
PARTS = ("rtdetr", "yolo26", "triton", "backend")


class Machine:
    """Ports and folders of its own; `run` runs the command there."""

    def __init__(self, folder: Path) -> None:
        self.var = folder / "var"
        self.backend = f"http://127.0.0.1:{(port := free_port())}"
        self.services = {f"{name}_URL": f"http://localhost:{free_port()}" for name in ("RTDETR", "YOLO26")}
        self.variables = {
            **os.environ,
            **self.services,
            **{f"TRITON_{name}_PORT": str(free_port()) for name in ("HTTP", "GRPC", "METRICS")},
            "PORT": str(port),
            "CROSSFADE_VAR": str(self.var),
            "DETECT_DEADLINE_S": "60",  # a machine that has other things to do answers late, and right
            "TRITON_REPOSITORY": str(folder / "models"),
            "HTTP_PROXY": "http://127.0.0.1:9",  # a proxy is not for parts on this machine
        }

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments], env={**self.variables, **changed}, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip

    def in_foreground(self, **changed: str) -> subprocess.Popen[str]:
        """`crossfade up`, read until everything runs; `said` is what it said until then."""
        process = subprocess.Popen(
            [PROGRAM, "up"], env={**self.variables, **changed}, stdout=subprocess.PIPE, text=True
        )
        process.said = ""
        for line in process.stdout:
            process.said += line
            if "Ctrl-C ends everything" in line:
                return process
        raise AssertionError(f"up ended with {process.wait()}")

    def nothing_listens(self) -> bool:
        return not any(answers(url) for url in (*self.services.values(), self.backend))


def answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False, timeout=5)
    except httpx.TransportError:
        return False
    return True


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Everything, started once; `up` is what the start said."""
    machine = Machine(tmp_path_factory.mktemp("stack"))
    try:
        machine.up = machine.run("up", "--detach", "--wait", "180")
        yield machine
    finally:
        ended = machine.run("down")
    assert ended.returncode == 0
    assert machine.nothing_listens()


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.run("down")


@pytest.fixture
def small(machine):
    """Without Triton, which is elsewhere and switched off: it starts in half the time."""
    machine.variables |= {"TRITON_URL": "triton.invalid:8001", "TRITON_ENABLED": "false"}
    del machine.variables["TRITON_GRPC_PORT"]
    return machine


def test_up_shows_what_both_sides_found_and_that_they_agree(stack):
    """The newcomer's five minutes: one command, four parts, two detectors, two sides, one answer."""
    assert stack.up.returncode == 0, stack.up.stdout + stack.up.stderr
    said = stack.up.stdout
    rows = [line.split()[:2] for line in said.splitlines()]
    for detector in ("rtdetr", "yolo26"):
        assert [detector, "legacy"] in rows
        assert [detector, "triton"] in rows
        assert f"{detector}: both sides agree" in said
    assert said.count("person") >= 4
    assert f"{stack.backend}/docs" in said
    assert str(stack.var / "admin-key") in said
    assert f"console     {stack.backend}/   (`crossfade console`" in said
    assert (stack.var / "admin-key").read_text().strip() not in said, "a log would hold the key"
    assert "rollout set --fraction" in said


def test_status_tells_each_part_and_where_the_rollout_stands(stack):
    status = stack.run("status")
    assert status.returncode == 0, status.stdout
    assert [line.split()[0] for line in status.stdout.splitlines()] == [*PARTS, "rollout"]
    assert status.stdout.count("healthy") == 4
    told = json.loads(stack.run("status", "--json").stdout)
    assert told["well"] is True
    assert [part["name"] for part in told["parts"]] == list(PARTS)
    assert told["rollout"]["shadow"] == 0.1


@pytest.mark.parametrize("side", ["legacy", "triton"])
def test_detect_tells_what_was_found_who_served_it_and_why(stack, side):
    seen = stack.run("detect", str(SAMPLE), "--detector", "yolo26", "--backend", side)
    assert seen.returncode == 0, seen.stderr
    assert "person" in seen.stdout
    assert f"on {side} (FORCED" in seen.stdout


def test_detect_leaves_it_to_the_rollout_and_speaks_json(stack):
    seen = stack.run("detect", str(SAMPLE), str(SAMPLE), "--json", "--min-confidence", "0.3")
    assert seen.returncode == 0, seen.stderr
    first, second = map(json.loads, seen.stdout.splitlines())
    assert first["served_by"]["reason"] == "FRACTION"
    assert second["file"] == str(SAMPLE)


def test_a_file_that_is_no_picture_is_told_and_the_next_one_is_sent(stack):
    seen = stack.run("detect", __file__, str(SAMPLE))
    assert seen.returncode == 1
    assert __file__ in seen.stderr
    assert "person" in seen.stdout


def test_a_second_up_is_refused_and_the_first_runs_on(stack):
    again = stack.run("up", "--detach")
    assert again.returncode == 1
    assert "was started before" in again.stderr
    assert "crossfade down" in again.stderr
    assert answers(f"{stack.backend}/health/live")


def test_the_rollout_is_changed_acknowledged_and_rolled_back(stack):
    changed = stack.run("rollout", "set", "--fraction", "0.5", "--shadow", "0", "--reason", "a quiet week")
    assert changed.returncode == 0, changed.stderr
    assert "fraction  50.00%" in changed.stdout
    assert "acknowledged by every live worker" in changed.stdout
    only = stack.run("rollout", "set", "--fraction", "1", "--detector", "yolo26")
    assert "now       yolo26 100.00%" in only.stdout
    off = stack.run("rollout", "disable")
    assert "Triton is off" in off.stdout
    assert stack.run("detect", str(SAMPLE), "--backend", "triton").returncode == Status.REFUSED
    assert "Triton is on" in stack.run("rollout", "enable").stdout
    back = stack.run("rollout", "rollback", "--reason", "people were missed")
    assert back.returncode == 0, back.stderr
    assert "fraction  0.00%" in back.stdout
    history = stack.run("rollout", "history", "-n", "5").stdout.splitlines()
    assert "people were missed" in history[0]
    assert "fraction 0.1 → 0.5" in history[4]
    assert "admin" in history[0]
    assert "now       yolo26 0.00%" in stack.run("rollout", "show").stdout


def test_a_ramp_is_started_followed_and_aborted(stack):
    """On the real store, led by the real backend: its last look is what `watch` tells."""
    refused = stack.run("ramp", "start", "--detector", "yolo26")
    assert refused.returncode == Status.REFUSED
    assert "certificate" in refused.stderr
    started = stack.run("ramp", "start", "--detector", "yolo26", "--force", "--reason", "a try", "--dry-run")
    assert started.returncode == 0, started.stderr
    deadline = time.monotonic() + 30
    while json.loads(stack.run("ramp", "show", "--json").stdout)["ramps"]["yolo26"]["look"] is None:
        assert time.monotonic() < deadline, "nobody looks at the ramp"
    watched = stack.run("ramp", "watch", "--once")
    assert watched.returncode == 0
    assert watched.stdout.startswith("yolo26: baseline, dry run: ")
    assert "not looked at yet" not in watched.stdout
    assert stack.run("ramp", "abort", "--reason", "enough").returncode == 0
    assert stack.run("ramp", "watch").returncode == 1
    report = stack.var / "report.html"
    assert stack.run("rollout", "report", "--detector", "yolo26", "--html", str(report)).returncode == 0
    assert "aborted by admin" in report.read_text()


def test_a_change_without_the_right_key_is_refused_in_words(stack):
    refused = stack.run("rollout", "set", "--fraction", "1", "--key", "guessed")
    assert refused.returncode == Status.REFUSED
    assert "key" in refused.stderr


def test_logs_are_told_with_their_parts_names(stack):
    said = stack.run("logs", "-n", "3")
    assert said.returncode == 0
    assert {line.split(" |")[0].strip() for line in said.stdout.splitlines()} == set(PARTS)
    assert "no part is called 'frontend'" in stack.run("logs", "frontend").stderr


def test_the_doctor_knows_our_parts_from_strangers(stack):
    doctor = stack.run("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert doctor.stdout.count("held by our") == 6
    assert doctor.stdout.count("was built from them") == 2
    assert "flags at version" in doctor.stdout


def test_a_triton_that_dies_is_started_again_and_the_stack_runs_on(stack):
    before = record.running(stack.var)
    os.kill(before.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (now := record.running(stack.var)) is None or now.pid == before.pid:
        assert time.monotonic() < deadline, (stack.var / "log" / "triton-supervisor.log").read_text()
        time.sleep(0.1)
    assert now.supervisor == before.supervisor
    assert answers(f"{stack.backend}/health/live")


def test_down_and_status_without_anything_running(machine):
    assert "Nothing was running" in machine.run("down").stdout
    status = machine.run("status")
    assert status.returncode == 1
    assert status.stdout.count("unreachable") == 4


def test_a_service_that_cannot_start_is_told_and_nothing_stays(machine):
    up = machine.run("up", YOLO26_WEIGHTS="/nowhere.pt", TRITON_URL="triton.invalid:8001")
    assert up.returncode == 1
    assert "YOLO26_WEIGHTS='/nowhere.pt': no such file" in up.stderr
    assert machine.nothing_listens()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("RTDETR_URL", "localhost", "RTDETR_URL='localhost'"),
        ("RTDETR_URL", "http://localhost:abc", "RTDETR_URL='http://localhost:abc'"),
        ("YOLO26_URL", "http://localhost:99999", "YOLO26_URL='http://localhost:99999'"),
        ("START_TIMEOUT_S", "0", "START_TIMEOUT_S='0'"),
        ("TRITON_HTTP_PORT", "many", "TRITON_HTTP_PORT='many'"),
    ],
)
def test_a_bad_setting_is_one_line(machine, variable, value, told):
    status = machine.run("status", **{variable: value})
    assert status.returncode == 1
    assert told in status.stderr
    assert len(status.stderr.splitlines()) == 1


def test_an_address_elsewhere_is_not_started_here(machine):
    up = machine.run("up", RTDETR_URL="http://10.0.0.7:8090")
    assert up.returncode == 1
    assert "RTDETR_URL=http://10.0.0.7:8090 is not on this machine" in up.stderr


def test_a_port_that_another_program_holds_is_told(machine):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        up = machine.run("up", RTDETR_URL=f"http://localhost:{port}")
        doctor = machine.run("doctor")
    assert up.returncode == 1
    assert f"port {port} is taken" in up.stderr
    assert f"process {os.getpid()}" in up.stderr
    assert doctor.returncode == 0, "that port is none of ours by default"


def test_without_a_backend_the_commands_say_how_to_get_one(machine):
    for words in (("detect", str(SAMPLE)), ("rollout", "show")):
        asked = machine.run(*words)
        assert asked.returncode == Status.AWAY
        assert "`crossfade up` starts it" in asked.stderr


def test_an_up_that_is_ended_by_a_signal_leaves_nothing(small):
    process = small.in_foreground()
    rows = [line.split() for line in process.said.splitlines()]
    assert ["yolo26", "triton", "-", "switched", "off", "-", "-"] in rows
    assert "triton: TRITON_URL=triton.invalid:8001 is not on this machine" in process.said
    process.terminate()
    rest = process.stdout.read()
    assert process.wait(60) == 130, rest
    assert rest.index("backend ended") < rest.index("yolo26 ended")
    assert small.nothing_listens()


def test_down_elsewhere_ends_an_up_without_calling_it_a_failure(small):
    process = small.in_foreground(WORKERS="2")
    down = small.run("down")
    assert down.returncode == 0
    assert process.wait(60) == 0, process.stdout.read()
    assert small.nothing_listens()
    assert "Nothing was running" in small.run("down").stdout


def test_an_up_that_is_killed_takes_all_its_parts_along(small):
    process = small.in_foreground()
    pids = [entry["pid"] for entry in json.loads((small.var / "run" / "stack.json").read_text())]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert small.nothing_listens()


def test_serve_is_the_backend_alone_and_ends_when_asked(small):
    process = subprocess.Popen([PROGRAM, "serve", "--workers", "2"], env=small.variables)
    try:
        deadline = time.monotonic() + 60
        while not answers(f"{small.backend}/health/live"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.terminate()
    assert process.wait(60) in {0, -signal.SIGTERM}
    assert small.nothing_listens()
