"""Parts as real processes: started by stages, known again, ended in order, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backend.stack.errors import StackError
from backend.stack.journal import Journal
from backend.stack.parts import FRONT, SIDES, Part
from backend.stack.processes import Running
from backend.stack.starting import Start, require_free, watch
from tests.services import free_port
from tests.stack_parts import MODULE, noted, part

pytestmark = pytest.mark.alone


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    yield made
    made.end(made.known(), tell=lambda _: None)


@pytest.fixture
def start(journal):
    def starting(*parts, timeout_s: float = 20.0, tell=lambda _: None) -> list[Running]:
        return Start(parts, journal, os.environ, timeout_s, tell).run()

    return starting


def gone(pid: int, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_the_front_starts_when_the_sides_serve_and_ends_before_them(tmp_path, start, journal):
    running = start(part(tmp_path, "front", FRONT), part(tmp_path, "side", SIDES))
    journal.end(running, tell=lambda _: None)
    assert noted(tmp_path / "notes") == ["side begins", "front begins", "front ends", "side ends"]
    assert journal.known() == []


def test_a_part_that_cannot_start_is_told_in_its_own_words_and_nothing_stays(tmp_path, start, journal):
    with pytest.raises(StackError, match="broken could not start: it has no picture to look at"):
        start(part(tmp_path, "well"), part(tmp_path, "broken", ENDS="yes"))
    assert journal.known() == []
    assert noted(tmp_path / "notes").count("well begins") == noted(tmp_path / "notes").count("well ends")


def test_what_is_not_ready_in_time_is_named_and_ended(tmp_path, start, journal):
    late = part(tmp_path, "late", NAME="another")  # what it notes is not what is waited for
    with pytest.raises(
        StackError, match=r"not everything was ready within 1 s\. late: not up, its log is .*late\.log"
    ):
        start(late, timeout_s=1.0)
    assert journal.known() == []


def test_a_stubborn_part_is_killed_after_its_patience_with_its_children(tmp_path, start, journal):
    told: list[str] = []
    (stubborn,) = start(part(tmp_path, "stubborn", patience_s=0.3, ON_TERM="ignore", CHILD="yes"))
    members = stubborn.members
    assert len(members) == 2
    journal.end([stubborn], told.append)
    assert told == ["stubborn did not end when asked and was killed"]
    assert all(gone(pid) for pid in members)


def test_what_a_killed_part_left_behind_is_found_and_ended(tmp_path, start, journal):
    (parent,) = start(part(tmp_path, "parent", CHILD="yes"))
    (child,) = parent.left_over or [pid for pid in parent.members if pid != parent.pid]
    os.kill(parent.pid, signal.SIGKILL)
    assert gone(parent.pid)
    assert [one.name for one in journal.known()] == ["parent"]
    journal.end(journal.known(), tell=lambda _: None)
    assert gone(child)
    assert journal.known() == []


def test_another_process_with_the_same_number_is_not_ours(tmp_path, start):
    (one,) = start(part(tmp_path, "one"))
    stranger = replace(one, born="12345")
    assert one.alive
    assert not stranger.alive
    stranger.ask_to_end()
    stranger.kill()
    assert one.alive


def test_a_second_start_is_refused_and_the_first_runs_on(tmp_path, start, journal):
    start(part(tmp_path, "first"))
    with pytest.raises(StackError, match=r"first was started before and runs; `crossfade down` ends it"):
        start(part(tmp_path, "second"))
    assert [one.name for one in journal.known()] == ["first"]


def test_a_part_that_ends_by_itself_ends_the_watch_with_its_last_words(tmp_path, start, journal):
    running = start(part(tmp_path, "one"))
    (tmp_path / "log" / "one.log").write_text("its last words\n")
    os.kill(running[0].pid, signal.SIGKILL)
    with pytest.raises(StackError, match=r"(?s)one ended by itself; .*its last words"):
        watch(journal, running)


def test_a_watch_that_sees_an_end_on_purpose_calls_it_no_failure(tmp_path, start, journal):
    running = start(part(tmp_path, "one"), part(tmp_path, "front", FRONT))
    code = f"from pathlib import Path; from backend.stack.journal import Journal as J; j = J(Path({str(tmp_path)!r}))"
    with subprocess.Popen([sys.executable, "-c", f"{code}; j.end(j.known(), tell=print)"]) as elsewhere:
        watch(journal, running)
    assert elsewhere.returncode == 0


def test_a_port_that_is_taken_is_told_with_its_holder_and_the_variable(tmp_path):

    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        asked = replace(part(tmp_path, "one"), ports={"ONE_PORT": port})
        with pytest.raises(
            StackError, match=rf"port {port} is taken by .*process {os.getpid()}.*ONE_PORT names another"
        ):
            require_free(asked)


def test_an_earlier_log_is_kept_beside_the_new_one(tmp_path, start, journal):
    log = tmp_path / "log" / "one.log"
    log.parent.mkdir()
    log.write_text("what went wrong last time\n")
    start(part(tmp_path, "one"))
    assert log.with_suffix(".log.1").read_text() == "what went wrong last time\n"


UP = """
import os, sys, time
from pathlib import Path
from backend.stack.guard import guarded
from backend.stack.journal import Journal
from backend.stack.signals import ended_by_signals
from backend.stack.starting import Start
from tests.stack_parts import part
folder = Path(sys.argv[1])
late = [part(folder, "late", 1, NAME="what it notes is not what is waited for")] if sys.argv[2:] else []
parts = [part(folder, "side"), part(folder, "front", 1), *late]
with ended_by_signals(), guarded(folder):
    Start(parts, Journal(folder), os.environ, 60.0, lambda line: print(line, flush=True)).run()
    print("runs", flush=True)
    time.sleep(60)
"""


def up(folder, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", UP, str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def read_until(process: subprocess.Popen[str], what: str) -> str:
    return next((line for line in process.stdout if what in line), "")


def until(holds, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("still", [[], ["starting"]])
def test_parts_end_in_order_when_their_starter_is_killed_even_while_it_starts(tmp_path, journal, still):
    process = up(tmp_path, *still)
    assert read_until(process, "late" if still else "runs")
    assert journal.known()
    process.kill()
    process.wait()
    until(lambda: not journal.known())
    assert noted(tmp_path / "notes")[-1] == "side ends"


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice in a row"])
def test_parts_end_when_their_starter_is_told_to_end(tmp_path, journal, times):
    """Its terminal's group is told, and so is make, which tells it too: nothing may be left behind for that."""
    process = up(tmp_path)
    assert read_until(process, "runs")
    for _ in range(times):
        process.terminate()
    process.wait(30)
    assert not journal.known()
    assert noted(tmp_path / "notes")[-1] == "side ends"


def test_the_guard_of_one_start_leaves_the_parts_of_another_alone(tmp_path, start):
    running = start(part(tmp_path, "ours"))
    guard = subprocess.Popen(
        [sys.executable, "-m", "backend.stack.guard", str(tmp_path), "1"], stdin=subprocess.PIPE
    )
    guard.stdin.close()
    assert guard.wait(20) == 0
    assert running[0].alive


def test_a_start_that_is_under_way_is_called_off_and_leaves_nothing(tmp_path, journal):
    process = up(tmp_path, "starting")
    assert read_until(process, "late")
    told: list[str] = []
    journal.call_off_a_start(told.append)
    assert told == [f"a start was under way (process {process.pid}); it is called off"]
    assert process.wait(20) != 0
    assert journal.known() == []
    assert noted(tmp_path / "notes")[-1] == "side ends"


def test_of_two_starts_at_once_one_is_refused_and_the_other_is_whole(tmp_path, journal):
    both = [up(tmp_path), up(tmp_path)]
    try:
        until(lambda: any(process.poll() is not None for process in both))
        (winner,) = [process for process in both if process.poll() is None]
        assert read_until(winner, "runs")
        assert [one.name for one in journal.known()] == ["side", "front"]
    finally:
        for process in both:
            process.terminate()
            process.wait(20)


def prepared(folder, **variables: str) -> Part:
    return replace(part(folder, "one", **variables), prepare=(MODULE, "prepare"))


def test_what_goes_before_a_part_is_told_and_done_first(tmp_path, start):
    told: list[str] = []
    start(prepared(tmp_path), part(tmp_path, "other"), tell=told.append)
    words = [line.split(None, 1) for line in told]
    assert [name for name, _ in words[:3]] == ["other", "one", "one"]  # the other loads meanwhile
    assert words[1][1] == "prepared, as asked"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"NOT_PREPARED": "no room for it"}, "`crossfade models prepare` failed: no room for it"),
        ({"PREPARES_S": "60"}, r"`crossfade models prepare` was not done within 2 s"),
    ],
)
def test_a_part_that_cannot_be_prepared_is_not_started(tmp_path, start, journal, variables, told):
    with pytest.raises(StackError, match=told):
        start(prepared(tmp_path, **variables), timeout_s=2.0)
    assert noted(tmp_path / "notes") == []
