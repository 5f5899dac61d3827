"""Whoever keeps the parts' logs small: started with them, missed when he is gone, and never in their way."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ai.triton.embedded.settings import read_settings as read_embedded
from backend.commands import stack, status
from backend.settings import read_settings
from backend.stack.journal import Journal
from backend.stack.log_keeper import keep_logs, nameless, overgrown
from backend.stack.parts import Part
from backend.stack.plan import parts_of
from backend.stack.processes import Running, end, spawn
from backend.stack.rotation import LogBounds, kept
from backend.stack.running import born
from backend.stack.starting import Start
from tests.log_writer import line_of, until
from tests.stack_parts import part


class TestKeeper:
    @pytest.fixture
    def running(self, tmp_path):
        started: list[Running] = []

        def begin(name: str, **variables: str) -> Running:
            one = replace(part(tmp_path, name, **variables), log_bounds=LogBounds(5_000, 3))
            started.append(spawn(one, os.environ))
            until(lambda: one.look().well)
            return started[-1]

        yield begin
        end(started, tell=lambda _: None)

    def kept_of(self, tmp_path: Path, *running: Running) -> int:
        parts = [replace(part(tmp_path, one.name), log_bounds=LogBounds(5_000, 3)) for one in running]
        keeper = keep_logs(parts, running, look_s=0.02)
        assert keeper is not None
        return keeper

    def say(self, one: Running, lines: int = 200) -> None:
        """As the part itself would: through the file that it was born with."""
        with Path(f"/proc/{one.pid}/fd/1").open("ab", buffering=0) as output:
            for number in range(lines):
                output.write(f"{line_of(one.name, number)}\n".encode())

    def test_it_cuts_the_logs_while_parts_run_and_ends_with_the_last_of_them(self, tmp_path, running):
        one, two = running("one"), running("two")
        keeper = self.kept_of(tmp_path, one, two)
        for each in (one, two):
            self.say(each)
            until(lambda log=Path(each.log): log.stat().st_size <= 5_000 and kept(log, 1).exists())
        end([one], tell=lambda _: None)
        self.say(two)
        until(lambda: Path(two.log).stat().st_size <= 5_000)
        assert born(keeper)
        end([two], tell=lambda _: None)
        os.waitpid(keeper, 0)

    def test_it_may_be_killed_and_no_part_notices_but_the_status_does(self, tmp_path, running):
        one = running("one")
        keeper = self.kept_of(tmp_path, one)
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
        bounded = [replace(part(tmp_path, "one"), log_bounds=LogBounds(5_000, 3))]
        assert overgrown(bounded) == []
        self.say(one, 1000)
        assert one.alive
        assert overgrown(bounded) == [Path(one.log)]
        again = self.kept_of(tmp_path, one)
        until(lambda: overgrown(bounded) == [])
        end([one], tell=lambda _: None)
        os.waitpid(again, 0)

    def test_what_a_killed_part_left_behind_is_kept_on(self, tmp_path, running):
        """Workers whose parent was killed write on into its log."""
        one = running("one", CHILD="yes")
        keeper = self.kept_of(tmp_path, one)
        (child,) = [pid for pid in one.members if pid != one.pid]
        os.kill(one.pid, signal.SIGKILL)
        os.waitpid(one.pid, 0)
        with Path(f"/proc/{child}/fd/1").open("ab", buffering=0) as output:
            output.write(b"a worker says on\n" * 1000)
        until(lambda: Path(one.log).stat().st_size == 0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(keeper, 0)

    def test_parts_without_a_bound_need_no_keeper(self, tmp_path):
        assert keep_logs([part(tmp_path, "one")], []) is None

    def test_it_is_small(self):
        """It runs as long as the stack does: nothing of the backend's libraries is in it."""
        asked = "import sys, backend.stack.log_keeper; print({'httpx', 'pydantic', 'numpy'} & {*sys.modules})"
        assert subprocess.check_output([sys.executable, "-c", asked], text=True) == "set()\n"

    def test_every_part_of_crossfade_up_has_a_bound_and_triton_s_own_log_is_triton_s(
        self, monkeypatch, tmp_path
    ):
        monkeypatch.setenv("LOG_MAX_BYTES", "20000")
        monkeypatch.setenv("LOG_FILES", "2")
        parts = parts_of(read_settings(), read_embedded())
        assert {one.log_bounds for one in parts} == {LogBounds(20_000, 2)}
        assert [one.more_logs for one in parts if one.name == "backend"] == [()]

    @pytest.mark.parametrize("left_by_a_killed_parent", [False, True])
    def test_a_log_that_somebody_removed_is_told_and_does_not_grow(
        self, tmp_path, running, left_by_a_killed_parent
    ):
        one = running("one", CHILD="yes")
        keeper = self.kept_of(tmp_path, one)
        assert nameless([one]) == []
        Path(one.log).unlink()
        assert nameless([one]) == [Path(one.log)]
        (writer,) = [pid for pid in one.members if pid != one.pid]
        if left_by_a_killed_parent:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
        output = Path(f"/proc/{writer}/fd/1")
        with output.open("ab", buffering=0) as log:
            log.write(b"nobody reads this\n" * 1000)
        until(lambda: output.stat().st_size == 0)
        one.kill()
        os.waitpid(keeper, 0)

    def test_a_log_that_somebody_put_elsewhere_is_told_and_is_left_to_him(self, tmp_path, running):
        one = running("one")
        keeper = self.kept_of(tmp_path, one)
        elsewhere = Path(one.log).replace(tmp_path / "elsewhere")
        self.say(one)
        Path(one.log).write_text("x" * 6_000)
        until(lambda: Path(one.log).stat().st_size == 0)  # it has looked
        assert elsewhere.stat().st_size == 200 * 200
        assert nameless([one]) == [Path(one.log)]
        end([one], tell=lambda _: None)
        os.waitpid(keeper, 0)


def started(folder: Path, *parts: Part, tell=lambda _: None) -> Start:
    return Start(parts, Journal(folder), os.environ, 20.0, tell)


class TestStart:
    """`crossfade up` as far as it concerns logs."""

    @pytest.fixture
    def bounded(self, tmp_path):
        yield replace(part(tmp_path, "one"), log_bounds=LogBounds(5_000, 3))
        Journal(tmp_path).end(Journal(tmp_path).known(), tell=lambda _: None)

    def test_a_stack_that_is_started_has_its_logs_kept(self, tmp_path, monkeypatch):
        begun: list[list[str]] = []
        monkeypatch.setattr(
            "backend.stack.starting.keep_logs", lambda _, running: begun.append([one.name for one in running])
        )
        journal = Journal(tmp_path)
        running = started(tmp_path, part(tmp_path, "one")).run()
        journal.end(running, tell=lambda _: None)
        assert begun == [["one"]]

    def test_it_is_on_record_whether_the_keeper_lives(self, tmp_path, bounded):
        started(tmp_path, bounded).run()
        journal = Journal(tmp_path)
        assert not journal.keeper_is_gone
        (pid, _) = json.loads((tmp_path / "run" / "log-keeper.json").read_text())
        os.kill(pid, signal.SIGKILL)
        until(lambda: journal.keeper_is_gone)  # a zombie at first: nobody lives there any more
        os.waitpid(pid, 0)
        assert journal.keeper_is_gone
        journal.end(journal.known(), tell=lambda _: None)
        assert not journal.keeper_is_gone
        assert not (tmp_path / "run" / "log-keeper.json").exists()

    def test_a_keeper_that_cannot_be_started_is_told_and_ends_nothing(self, tmp_path, bounded, monkeypatch):
        def none(*_: object) -> int:
            raise OSError("no process can be made")

        monkeypatch.setattr("backend.stack.starting.keep_logs", none)
        told: list[str] = []
        (one,) = started(tmp_path, bounded, tell=told.append).run()
        assert one.alive
        assert "no process can be made" in told[-1]
        assert Journal(tmp_path).keeper_is_gone

    def test_a_signal_while_the_keeper_is_started_leaves_nothing_running(
        self, tmp_path, bounded, monkeypatch
    ):
        seen: list[Running] = []

        def interrupted(_: Sequence[Part], running: Sequence[Running]) -> int:
            seen.extend(running)
            raise KeyboardInterrupt

        monkeypatch.setattr("backend.stack.starting.keep_logs", interrupted)
        with pytest.raises(KeyboardInterrupt):
            started(tmp_path, bounded).run()
        assert [one.alive for one in seen] == [False]
        assert Journal(tmp_path).known() == []

    def test_a_signal_just_behind_the_start_leaves_nothing_running(self, tmp_path, bounded, monkeypatch):
        """Between the last word of the start and the first of whoever holds the terminal."""
        start = started(tmp_path, bounded)
        running = start.run()

        def interrupted() -> list[Running]:
            raise KeyboardInterrupt

        monkeypatch.setattr(start, "run", interrupted)
        with pytest.raises(KeyboardInterrupt), stack._started(start, Journal(tmp_path), stays=True):
            pass
        assert [one.alive for one in running] == [False]

    def test_a_start_that_was_refused_ends_nobody_else_s(self, tmp_path, bounded):
        (one,) = started(tmp_path, bounded).run()
        with (
            pytest.raises(stack.StackError),
            stack._started(started(tmp_path, bounded), Journal(tmp_path), False),
        ):
            pass
        assert one.alive
        assert not Journal(tmp_path).is_ending

    def test_the_status_says_that_nobody_keeps_them_and_that_one_was_removed(
        self, tmp_path, bounded, monkeypatch, capsys
    ):
        monkeypatch.setattr(status, "parts", lambda _: (bounded,))
        monkeypatch.setattr(status, "rollout_of", lambda _: None)
        settings = read_settings(crossfade_var=tmp_path)
        started(tmp_path, bounded).run()
        (pid, _) = json.loads((tmp_path / "run" / "log-keeper.json").read_text())
        assert status._status(argparse.Namespace(json=False), settings) == 0
        assert "logs  " not in capsys.readouterr().out
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        bounded.log.unlink()
        status._status(argparse.Namespace(json=False), settings)
        said = capsys.readouterr().out
        assert "whoever kept them to LOG_MAX_BYTES has ended" in said
        assert f"{bounded.log} was removed" in said
        status._status(argparse.Namespace(json=True), settings)
        told = json.loads(capsys.readouterr().out)
        assert (told["logs_kept"], told["logs_gone"]) == (False, [str(bounded.log)])
