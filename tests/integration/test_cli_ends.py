"""How commands end where nothing is as it should be: somebody else answers, nobody listens, Ctrl-C comes early."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ai.core.sample import SAMPLE
from ai.terminal.interrupting import ended_at_once
from ai.triton import models
from backend import cli
from backend.commands.statuses import Status

pytestmark = pytest.mark.beside

JSON, PAGE = "application/json", "text/html"
Ended = Callable[..., int]


@pytest.fixture
def ended(monkeypatch, tmp_path) -> Ended:
    """The exit status of these words, in a folder where nothing of ours runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path / "var"))

    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        return int(end.value.code or 0)

    return run


class Somebody(ThreadingHTTPServer):
    """Answers everything with the same."""

    content_type, body = JSON, b"{}"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answering(BaseHTTPRequestHandler):
    server: Somebody

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("content-type", self.server.content_type)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_PUT = do_GET  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Not in the midst of what a test prints."""


@pytest.fixture
def somebody() -> Iterator[Somebody]:
    with Somebody() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


class TestSomebodyElseAnswers:
    @pytest.mark.parametrize(
        "words",
        [
            ["detect", str(SAMPLE)], ["console", "--json"], ["rollout", "set", "--fraction", "0.5"],
            ["rollout", "rollback", "--json"], ["rollout", "history"], ["rollout", "samples", "--json"],
            ["ramp", "start"], ["ramp", "watch", "--once"],
        ],
    )  # fmt: skip
    def test_a_table_that_lacks_what_we_read_is_one_line_and_no_fault_of_ours(
        self, ended, somebody, capsys, words
    ):
        assert ended(*words, "--url", somebody.url, "--key", "k") == Status.NOT_DONE
        said = capsys.readouterr()
        assert said.out == ""
        assert "is it a Crossfade backend" in said.err
        assert "unexpected" not in said.err
        assert len(said.err.splitlines()) == 1

    def test_what_is_no_json_is_none_for_us_and_told_to_nobody(self, ended, somebody, capsys):
        somebody.body = b'{"detections": NaN, "effective": Infinity}'
        assert ended("rollout", "show", "--json", "--url", somebody.url) == Status.NOT_DONE
        said = capsys.readouterr()
        assert (said.out, "no JSON table" in said.err) == ("", True)

    @pytest.mark.parametrize(
        ("content_type", "words"),
        [(PAGE, ["history", "--export"]), (JSON, ["report", "--html"])],
    )
    def test_a_file_gets_nothing_of_another_kind(
        self, ended, somebody, capsys, tmp_path, content_type, words
    ):
        somebody.content_type = content_type
        (kept := tmp_path / "kept").write_text("of before")
        assert ended("rollout", *words, str(kept), "--url", somebody.url) == Status.NOT_DONE
        assert f"answers {content_type}, not " in capsys.readouterr().err
        assert kept.read_text() == "of before"


class TestNobodyListens:
    @pytest.mark.parametrize("closed", ["stdout", "stderr"])
    def test_a_stream_that_was_closed_changes_no_status_and_what_it_gets_goes_nowhere_else(
        self, ended, monkeypatch, capsys, closed
    ):
        """`>&-` and `2>&-`: Python has None there."""
        monkeypatch.setattr(sys, closed, None)
        assert ended("down") == Status.DONE
        assert ended("completion", "bash") == Status.DONE
        assert ended("status", "--json") == Status.NOT_DONE
        assert ended("detect", "nothing.jpg") == Status.NOT_DONE
        with pytest.raises(SystemExit) as end:
            models.main(["build", "nosuch", "--json"])
        assert end.value.code == 1
        said = capsys.readouterr()
        assert "nothing.jpg" not in said.out
        assert "nosuch" not in said.out
        assert "unexpected" not in said.err

    @pytest.mark.parametrize("words", [["status", "--json"], ["completion", "bash"], ["status"]])
    def test_a_disk_without_room_for_the_answer_is_a_failure(self, ended, monkeypatch, capsys, words):
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert ended(*words) == Status.NOT_DONE
        assert "No space left on device" in capsys.readouterr().err

    def test_down_goes_on_where_its_words_have_no_room(self, ended, monkeypatch):
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert ended("down") == Status.DONE

    def test_logs_that_are_followed_end_with_their_reader(self, tmp_path):
        (log := tmp_path / "var" / "log" / "backend.log").parent.mkdir(parents=True)
        log.write_text("first\n")
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli", "logs", "backend", "--follow"],
            env={**os.environ, "CROSSFADE_VAR": str(tmp_path / "var")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout.readline() == "backend | first\n"
            process.stdout.close()
            with log.open("a") as file:
                file.write("second\n")
            assert process.wait(30) == Status.NOBODY_LISTENS
            assert process.stderr.read() == ""
        finally:
            process.kill()

    @pytest.mark.parametrize("words", [["--help"], ["logs", "--help"], ["compare", "--help"]])
    def test_help_is_told_with_letters_that_the_terminal_has(self, ended, monkeypatch, words):
        stream = io.TextIOWrapper(buffer := io.BytesIO(), "ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        assert ended(*words) == Status.DONE
        stream.flush()
        assert buffer.getvalue().startswith(b"usage: crossfade")


class TestCtrlC:
    @pytest.fixture(autouse=True)
    def _as_python_starts(self) -> Iterator[None]:
        """Whatever an event loop before us has left in its place."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    def test_while_modules_are_imported_the_signal_itself_ends_us(self, monkeypatch, ended):
        during: list[object] = []
        parser = cli.parser
        monkeypatch.setattr(cli, "parser", lambda: during.append(signal.getsignal(signal.SIGINT)) or parser())
        ended("completion", "bash")
        assert during == [signal.SIG_DFL]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_a_module_that_makes_another_error_of_it_is_not_asked(self):
        """Such as numpy's: ImportError, with a traceback. Outside it would be."""
        program = (
            "import os, signal, contextlib\nfrom ai.terminal.interrupting import ended_at_once\n"
            "with {}:\n  try: os.kill(os.getpid(), signal.SIGINT)\n  except KeyboardInterrupt: print('asked')"
        )
        within, without = (
            subprocess.run([sys.executable, "-c", program.format(block)], capture_output=True, text=True, check=False)
            for block in ("ended_at_once()", "contextlib.nullcontext()")
        )  # fmt: skip
        assert (within.returncode, within.stdout, within.stderr) == (-signal.SIGINT, "", "")
        assert without.stdout == "asked\n"

    def test_who_ignores_it_goes_on_to(self, monkeypatch):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with ended_at_once():
                assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)

    def test_models_hears_of_it_once_all_is_imported(self, tmp_path):
        """The signal is there before the program that takes the command's place: it ends with 130, and in silence."""
        process = subprocess.run(
            [sys.executable, "-c",
             "import os, signal, sys\nfrom ai.terminal.interrupting import put_off\nput_off()\n"
             "os.kill(os.getpid(), signal.SIGINT)\n"
             "os.execv(sys.executable, [sys.executable, '-m', 'ai.triton.models', 'list'])"],
            env={**os.environ, "CROSSFADE_VAR": str(tmp_path)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (process.returncode, process.stdout, process.stderr) == (Status.INTERRUPTED, "", "")


def test_a_folder_of_the_users_with_a_name_of_ours_is_not_ours(tmp_path):
    """Nor a module in it: `crossfade models` runs a process of its own, in the folder where it is typed."""
    (tmp_path / "ai").mkdir()
    (tmp_path / "ai" / "__init__.py").touch()
    (tmp_path / "json.py").write_text("open('was-run', 'w')\nraise SystemExit(7)\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("crossfade"), "models", "list"],
        cwd=tmp_path, env={**os.environ, "CROSSFADE_VAR": str(tmp_path), "TRITON_REPOSITORY": str(tmp_path / "models")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "holds no models" in done.stdout
    assert not (tmp_path / "was-run").exists()


def test_a_picture_that_is_not_there_is_said_once(ended, capsys):
    assert ended("detect", "nothing.jpg") == Status.NOT_DONE
    assert capsys.readouterr().err == "nothing.jpg: cannot be read: No such file or directory\n"


def test_help_waits_for_no_statistics_and_no_grpc():
    asked = "import json, sys; from backend import cli; cli.parser(); print(json.dumps(list(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert {"scipy", "grpc", "tritonclient", "torch"}.isdisjoint(json.loads(said.stdout))
