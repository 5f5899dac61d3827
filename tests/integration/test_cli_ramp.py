"""`crossfade ramp` and what `crossfade rollout` shows of ramps, against a real API on scripted sides."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ai.core.sample import sample_jpeg
from backend import cli
from backend.commands.statuses import Status
from backend.ramp.looks import Answer, Look
from backend.rollout.store import Change, Sample, SampleLimits, Store
from tests.api_parts import Running, ramped_settings_of, running, sides_of
from tests.ramp_orders import asked, keep_look, started

pytestmark = pytest.mark.beside

ANSWER = Answer("disagreement", 1, 311, 0, 0.003, 0.0032, -0.004, 0.017, -0.4, -0.2, 3.0, 9.2, 1414)
WORDS = "hold: 312 of about 1,414 samples"


@pytest.fixture
def api(tmp_path, nothing_said_of_flags, monkeypatch) -> Iterator[Running]:
    monkeypatch.setenv("TRITON_ENABLED", "true")
    monkeypatch.setenv(
        "TRITON_REPOSITORY", str(tmp_path / "models")
    )  # and not what whoever runs this has built
    with running(ramped_settings_of(tmp_path, log_sample=0.0), sides_of()) as api:
        yield api


@pytest.fixture
def said(api, capsys) -> Callable[..., tuple[int, str, str]]:
    """What a command answers: its exit status, what it said, and what it complained of."""

    def say(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, "--url", api.url, "--key", "admin-key"])
        told = capsys.readouterr()
        if isinstance(ended.value.code, str):
            return 1, told.out, ended.value.code
        return int(ended.value.code or 0), told.out, told.err

    return say


def look(epoch: str, words: str = WORDS, **more: object) -> Look:
    told = {"answers": (ANSWER,), "waits_for": ("1,102 more samples",), "eta_s": 2400.0}
    return Look("yolo26", epoch, time.time(), "hold", words, **(told | more))


# --- Orders


def test_a_ramp_is_ordered_about_in_words(said):
    status, told, _ = said("ramp", "start", "--detector", "yolo26", "--steps", "0.1,0.5,1", "--gate", "1",
                           "--force", "--reason", "a try")  # fmt: skip
    assert status == 0
    assert "yolo26  10 % > 50 % > 100 % (to be approved)" in told
    assert "baseline" in told
    assert "forced         a try" in told
    assert "paused by ops: night shift" in said("ramp", "pause", "--reason", "night shift")[1]
    assert "paused" not in said("ramp", "resume")[1]
    assert "to be approved" not in said("ramp", "approve", "--detector", "yolo26")[1]
    assert "Triton stays at 0 %" in said("ramp", "abort", "--reason", "enough")[1]
    assert json.loads(said("ramp", "show", "--json")[1])["ramps"]["yolo26"]["phase"] == "ended"


def test_an_order_that_cannot_be_is_told_and_who_refused_it_by_the_exit_status(said):
    for words, why in (
        (("ramp", "start"), "certificate"),
        (("ramp", "start", "--force"), "needs a reason"),
        (("ramp", "pause"), "no ramp that is on"),
        (("ramp", "watch"), "there is no ramp"),
        (("ramp", "start", "--detector", "resnet"), "there are rtdetr, yolo26"),
        (("rollout", "set", "--follow", "yolo26"), "no fraction of its own"),
        (("rollout", "samples", "--delete"), "--camera NAME, or --all"),
    ):
        status, _, complaint = said(*words)
        by_us = words[1] == "watch" or words[0] == "rollout"
        assert status == (Status.NOT_DONE if by_us else Status.REFUSED), words
        assert why in complaint


def test_words_that_are_no_steps_are_told_before_anybody_is_asked(said, capsys):
    assert said("ramp", "start", "--steps", "10,50")[0] == 2


# --- Where it stands


def test_show_tells_the_step_the_evidence_and_what_is_waited_for(api, said):
    epoch = started(api, steps=[0.1, 0.5, 1.0])
    keep_look(api, look(epoch, fault="a fault by name"))
    told = said("ramp", "show", "--detector", "yolo26")[1]
    for words in (
        WORDS, "what is wrong  a fault by name", "disagreement   312 of about 1,414; 0.32 %, surely -0.4 % to 1.7 %",
        "at most 0.3 %", "waits for      1,102 more samples", "next step      in about 40 minutes",
        "Triton         0 % asked for, 0 % in effect",
    ):  # fmt: skip
        assert words in told
    assert f"ramp      yolo26: baseline: {WORDS}" in said("rollout", "show")[1]
    assert "No ramp was started yet" in said("ramp", "show", "--detector", "rtdetr")[1]


def test_a_change_by_hand_says_which_ramp_it_pauses_and_an_override_can_be_taken_away(api, said):
    started(api)
    status, told, _ = said("rollout", "set", "--fraction", "0.5", "--detector", "yolo26")
    assert status == 0
    assert "the ramp of yolo26 pauses" in told
    assert "paused: ops changed the flags by hand" in told
    assert "pauses" not in said("rollout", "set", "--shadow", "0.3")[1]
    status, told, _ = said("rollout", "set", "--follow", "yolo26", "--fraction", "0.2", "--json")
    state = json.loads(told)
    assert (status, state["overrides"], state["effective"]["yolo26"], state["pending"]) == (0, {}, 0.2, [])
    history = said("rollout", "history", "-n", "4")[1].splitlines()
    assert "ramp of yolo26 baseline → baseline, paused" in history[2]
    assert "ramp of yolo26 - → baseline" in history[3]


# --- What it showed


def test_the_history_goes_into_a_file_whole_or_not_at_all(said, tmp_path):
    for fraction in ("0.1", "0.2"):
        said("rollout", "set", "--fraction", fraction)
    (folder := tmp_path / "exports").mkdir()
    file = folder / "history.jsonl"
    status, told, _ = said("rollout", "history", "--export", str(file))
    assert (status, told) == (0, f"3 changes, newest first: {file}\n")
    assert [json.loads(line)["version"] for line in file.read_text().splitlines()] == [3, 2, 1]
    status, _, complaint = said("rollout", "history", "--export", str(tmp_path / "nowhere" / "file"))
    assert (status, "cannot be written" in complaint) == (1, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_text()
    assert said("rollout", "history", "--export", str(file), "--detector", "resnet")[0] == Status.REFUSED
    assert file.read_text() == before
    assert [path.name for path in folder.iterdir()] == [file.name], "no draft is left"


def test_the_report_is_told_in_short_and_written_as_a_page(api, said, tmp_path):
    started(api)
    assert "yolo26: " in said("rollout", "report", "--detector", "yolo26")[1]
    assert json.loads(said("rollout", "report", "--json")[1])["schema"] == 1
    page = tmp_path / "report.html"
    assert said("rollout", "report", "--detector", "yolo26", "--html", str(page))[0] == 0
    assert page.read_text().startswith("<!doctype html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600, "it shows pictures of a home"
    status, _, complaint = said("rollout", "report", "--html", str(tmp_path / "nowhere" / "page.html"))
    assert (status, "cannot be written" in complaint) == (1, True)


def test_what_somebody_wrote_long_ago_steers_no_terminal_and_forges_no_line(api, said):
    """The API takes no such reason any more; a row that was restored may hold one."""

    def forge(store: Store) -> None:
        now = store.read().change
        state = replace(now.state, version=now.version + 1, shadow=0.7)
        reason = "\x1b]52;c;cm0gLXJm\x07\x1b[2J x\n    7  2026-01-01  forged \x9b31m \u202e \ud83d"
        forged = Change.made(now.state, state, who="a\rb", reason=reason)
        history = type(store).history
        store.history = lambda limit, before=None: (
            (replace(forged, reason=reason, who="a\rb"), *history(store, limit, before))
            if before is None
            else ()
        )

    asked(api, forge)
    status, told, _ = said("rollout", "history")
    assert status == 0
    lines = told.splitlines()
    assert len(lines) == 2
    assert "forged" in lines[0]
    assert all(line.isprintable() for line in lines)


def test_an_error_that_quotes_what_was_sent_is_lines_of_ours(said):
    _, _, complaint = said("ramp", "pause", "--detector", "\x1b[2Jx\ny")
    first, *more = complaint.splitlines()
    assert first.startswith("crossfade: ")
    assert first.isprintable()
    assert all(line.startswith("  ") for line in more)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_what_a_terminal_has_no_letters_for_is_spelt_out(api, said, encoding):
    said("rollout", "set", "--fraction", "0.1", "--reason", "夜间 →")
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", "rollout", "history", "--url", api.url, "--key", "admin-key"],
        env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u591c\u95f4" in done.stdout


def test_samples_are_told_and_removed(api, said):
    def add(store: Store) -> None:
        for number, camera in enumerate(("yard", "yard", "door")):
            sample = Sample(f"a{number}", time.time(), "yolo26", camera, "", "day", "1", ("missed",), ("person",),
                            [[1, 2, 3, 4, 0.9, 0]], [], 640, 480)  # fmt: skip
            store.add_sample(sample, sample_jpeg(), SampleLimits(10, 10_000_000, 1e9))

    asked(api, add)
    told = said("rollout", "samples", "--camera", "yard")[1].splitlines()
    assert len(told) == 2
    assert "missed (person)" in told[0]
    assert f"{api.url}/api/rollout/samples/a1.jpg" in told[0]
    assert "2 samples removed for good" in said("rollout", "samples", "--camera", "yard", "--delete")[1]
    assert len(json.loads(said("rollout", "samples", "--json")[1])) == 1
    assert json.loads(said("rollout", "samples", "--delete", "--all", "--json")[1]) == {"removed": 1}
    assert "no samples are kept" in said("rollout", "samples")[1]


# --- Following it


class Watcher:
    """`crossfade ramp watch` in a process of its own, on a terminal or in a pipe."""

    def __init__(self, url: str, *words: str, terminal: bool = False) -> None:
        ours, theirs = pty.openpty() if terminal else os.pipe()
        environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "CROSSFADE_KEY": "viewer-key"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli", "ramp", "watch", "--url", url, *words],
            stdout=theirs, stderr=theirs, env=environment,
        )  # fmt: skip
        os.close(theirs)
        self.said = ""
        self._reading = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reading.start()

    def _read(self, line: int) -> None:
        try:
            while chunk := os.read(line, 65536):
                self.said += chunk.decode(errors="replace")
        except OSError:
            pass  # a terminal that was closed
        os.close(line)

    def until(self, words: str) -> None:
        deadline = time.monotonic() + 30
        while words not in self.said:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def ended(self) -> int:
        status = self.process.wait(30)
        self._reading.join(10)
        return status

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def watching(api) -> Iterator[Callable[..., Watcher]]:
    watchers: list[Watcher] = []

    def watch(*words: str, url: str = "", terminal: bool = False) -> Watcher:
        watchers.append(Watcher(url or api.url, *words, terminal=terminal))
        return watchers[-1]

    yield watch
    for watcher in watchers:
        watcher.stop()


def test_in_a_pipe_a_watch_is_a_line_a_change_and_an_abort_ends_it_with_1(api, said, watching):
    epoch = started(api)
    watcher = watching()
    watcher.until("yolo26: baseline: not looked at yet\n")
    keep_look(api, look(epoch, words="hold: 1 of about 1,414 samples"))
    watcher.until("yolo26: baseline: hold: 1 of about 1,414 samples\n")
    keep_look(api, look(epoch, words="hold: 2 of about 1,414 samples"))
    said("ramp", "pause", "--reason", "night shift")
    watcher.until("paused by ops: night shift\n")
    said("ramp", "abort", "--reason", "enough")
    assert watcher.ended() == 1
    lines = watcher.said.splitlines()
    assert len(lines) == 4, lines
    assert lines[-1].startswith("yolo26: ended: aborted by ops")
    assert "\x1b" not in watcher.said


def test_on_a_terminal_it_is_drawn_over_what_was_drawn_before(api, said, watching):
    epoch = started(api, steps=[0.1, 0.5, 1.0])
    watcher = watching("--detector", "yolo26", terminal=True)
    watcher.until("not looked at yet")
    keep_look(api, look(epoch))
    watcher.until("in about 40 minutes")
    said("ramp", "abort", "--reason", "enough")
    assert watcher.ended() == 1
    drawn = re.split(r"\x1b\[(\d+)F\x1b\[J", watcher.said.replace("\r\n", "\n"))
    heights = [len(picture.splitlines()) for picture in drawn[0::2]]
    assert [int(back) for back in drawn[1::2]] == heights[:-1], "as high as what is drawn over"
    assert "10 % > 50 % > 100 %" in drawn[-1]


def test_a_watch_of_a_ramp_that_is_over_ends_at_once_and_once_does_too(api, said, watching):
    started(api)
    assert watching("--once").ended() == 0
    only = watching("--once", "--json")
    assert only.ended() == 0
    assert json.loads(only.said)["ramps"]["yolo26"]["phase"] == "baseline"
    said("rollout", "rollback", "--reason", "people were missed")
    over = watching()
    assert over.ended() == 1
    assert "ended: rolled back by ops" in over.said


def test_a_watch_whose_reader_is_gone_ends_without_a_word(api, said):
    """`crossfade ramp watch | head -1`: figures that merely grow write no line, and end it all the same."""
    epoch = started(api)
    keep_look(api, look(epoch))
    watch = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "ramp", "watch", "--url", api.url, "--key", "admin-key"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert watch.stdout.readline().startswith(b"yolo26: baseline")
        watch.stdout.close()
        keep_look(api, look(epoch, words="hold: 1 of about 1,414 samples"))
        assert watch.wait(30) == 141
        assert watch.stderr.read() == b""
    finally:
        watch.kill()
        watch.wait()
        watch.stderr.close()


def test_a_watch_that_is_interrupted_says_no_traceback(api, watching):
    started(api)
    watcher = watching()
    watcher.until("baseline")
    watcher.process.send_signal(signal.SIGINT)
    assert watcher.ended() == 130
    assert "Traceback" not in watcher.said


def test_a_watch_outlives_a_backend_that_is_started_again(tmp_path, nothing_said_of_flags, monkeypatch):
    monkeypatch.setenv("TRITON_ENABLED", "true")
    monkeypatch.setenv("TRITON_REPOSITORY", str(tmp_path / "models"))
    settings = ramped_settings_of(tmp_path, log_sample=0.0)
    with running(settings, sides_of()) as api:
        started(api)
        watcher = Watcher(api.url)
        watcher.until("baseline")
        api.app.state.news.end()  # as a signal does
    try:
        watcher.until("connection lost, trying again")
        with running(settings, sides_of(), port=api.port) as again:
            again.post("/api/rollout/ramp", headers={"X-API-Key": "admin-key"}, json={"action": "abort"})
            assert watcher.ended() == 1
        assert watcher.said.count("connection lost") == 1
    finally:
        watcher.stop()


def test_a_watch_with_a_wrong_key_ends_in_words(api):
    watcher = Watcher(api.url, "--key", "guessed")
    assert watcher.ended() == Status.REFUSED
    assert "not known here" in watcher.said
