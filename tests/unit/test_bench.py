"""`crossfade bench`: what it lists, what it runs, and how it ends."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import psutil
import pytest

from backend.commands import bench
from backend.commands.statuses import Status
from benchmarks.__main__ import arguments_of, chosen, main, status_of
from benchmarks.entry.needs import CANNOT_RUN_HERE, Need
from benchmarks.entry.running import (
    DONE,
    FAILED,
    LEFT_OUT,
    NOT_HERE,
    STOPPED,
    Ended,
    Wanted,
    command_of,
    run_one,
)
from benchmarks.processes import ROOT
from benchmarks.suites import BY_NAME, SUITES, Suite

pytestmark = pytest.mark.beside

NOWHERE = Need("unicorn", "a forest", lambda: False)
MEASURES_NOTHING = Suite("nothing", "benchmarks.nothing", "nothing", 0)  # wants a port, and fails without one


def test_each_suite_is_there_once_and_says_what_it_is() -> None:
    assert len(BY_NAME) == len(SUITES) == len({suite.module for suite in SUITES})
    for suite in SUITES:
        assert find_spec(suite.module) is not None, f"{suite.module} is listed and missing"
        assert (ROOT / suite.shown).is_file() or suite.shown == "docs/scaling.md"
        assert suite.answers
        assert suite.minutes > 0


def test_the_list_is_data_for_scripts(capsys) -> None:
    assert main(["--list", "--json", "gpu", "client"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == ["gpu", "client"]
    assert listed[0]["needs"][0] == "NVIDIA GPU"


def test_without_a_name_they_are_listed_and_none_is_run(capsys) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(suite.answers in said for suite in SUITES)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gpuu"], "did you mean 'gpu'?"),
        (["--quik"], "did you mean '--quick'?"),
        (["cpu", "client", "--", "--rounds", "3"], "name one"),
    ],
)
def test_wrong_words_are_answered_in_a_line(words, told, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == Status.WORDS
    assert told in capsys.readouterr().err


def test_names_and_options_may_stand_in_any_order() -> None:
    asked = arguments_of(["cpu", "--quick", "client", "cpu", "--json"])
    assert [suite.name for suite in chosen(asked.suites)] == ["cpu", "client"]
    assert (asked.quick, asked.json, asked.more) == (True, True, ())
    assert arguments_of(["client", "--quick", "--", "--rounds", "3"]).more == ("--rounds", "3")


def test_a_suite_gets_its_own_words_and_no_others() -> None:
    wanted = Wanted(quick=True, out="/there", more=("--rounds=3",))
    assert command_of(BY_NAME["client"], wanted)[2:] == [
        "benchmarks.client",
        "--quick",
        "--out=/there",
        "--rounds=3",
    ]
    assert command_of(BY_NAME["tracing"], wanted)[2:5] == [
        "benchmarks.tracing_cost",
        "--repeats=2",
        "--calls=50",
    ]
    assert command_of(BY_NAME["client"], Wanted())[2:] == ["benchmarks.client"]


def test_what_this_machine_lacks_is_told_and_nothing_is_started() -> None:
    ended = run_one(replace(MEASURES_NOTHING, needs=(NOWHERE,)), Wanted())
    assert (ended.outcome, ended.status, ended.took_s) == (NOT_HERE, CANNOT_RUN_HERE, 0.0)
    assert ended.sentence == "nothing: cannot run here; it needs unicorn: a forest"
    gone = run_one(replace(MEASURES_NOTHING, module="benchmarks.gone"), Wanted())
    assert (gone.outcome, gone.status) == (NOT_HERE, CANNOT_RUN_HERE)


def test_a_suite_without_a_quick_form_is_left_out_of_a_quick_run() -> None:
    ended = run_one(replace(MEASURES_NOTHING, quick=None), Wanted(quick=True))
    assert (ended.outcome, ended.status) == (LEFT_OUT, 0)


def test_a_suite_that_fails_is_told_with_its_status(capfd) -> None:
    ended = run_one(MEASURES_NOTHING, Wanted())
    assert (ended.outcome, ended.status) == (FAILED, 1)
    assert "IndexError" in capfd.readouterr().err, "what a suite says is not passed on"


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([DONE, DONE, LEFT_OUT], 0),
        ([DONE, NOT_HERE], CANNOT_RUN_HERE),
        ([NOT_HERE, FAILED, DONE], 1),
        ([FAILED, STOPPED], 130),
    ],
)
def test_the_status_is_of_the_worst(outcomes, status) -> None:
    assert status_of([Ended("one", outcome, 0, 1.0) for outcome in outcomes]) == status


def test_of_all_suites_those_that_cannot_run_here_are_no_failure() -> None:
    assert status_of([Ended("gpu", NOT_HERE, 5, 0.0), Ended("cpu", DONE, 0, 9.0)], forgiving=True) == 0


def test_the_statuses_are_those_that_the_command_tells() -> None:
    assert (Status.NOT_HERE, Status.INTERRUPTED) == (CANNOT_RUN_HERE, 130)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_is_stopped_ends_its_suite_first(number) -> None:
    script = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
from benchmarks import __main__ as entry, suites
suites.BY_NAME["client"] = suites.Suite("client", "benchmarks.nothing", "nothing", 0)
sys.exit(entry.main(["client", "--", "0"]))
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        suite = _child_of(process)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "client: stopped" in said
    assert not suite.is_running()


def _child_of(process: subprocess.Popen[str]) -> psutil.Process:
    """Its server listens: port 0 is any."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children():
            if child.status() != psutil.STATUS_ZOMBIE and child.net_connections():
                return child
    raise AssertionError("it ended by itself")


def test_where_there_is_no_checkout_it_says_what_to_do(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "backend" / "commands" / "bench.py"))
    monkeypatch.chdir(tmp_path)
    assert bench._bench(None) == Status.NOT_HERE
    assert "make setup" in capsys.readouterr().err
    monkeypatch.chdir(ROOT / "docs")
    assert bench.checkout_of(ROOT / "docs") == ROOT
