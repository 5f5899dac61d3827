"""`crossfade detect` and `console` against a real API on scripted sides: pictures drawn, links made, ends told."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import simplejpeg

from backend import cli
from backend.commands import console, stack
from backend.commands.statuses import Status
from backend.shadow.drawing import LEGACY_COLOUR, TRITON_COLOUR
from backend.stack.backend_api import BackendApi
from tests.api_parts import Running, running, settings_of, sides_of
from tests.terminals import Terminal

pytestmark = pytest.mark.beside

Said = Callable[..., tuple[int, str, str]]
BOX = (10, 20, 110, 220)  # of FakeTransport's dog


@pytest.fixture(scope="module")
def api(tmp_path_factory) -> Iterator[Running]:
    settings = settings_of(tmp_path_factory.mktemp("api"), log_sample=0.0)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRITON_ENABLED", "true")
        with running(settings, sides_of()) as api:
            yield api


@pytest.fixture
def said(api, capsys, monkeypatch, tmp_path) -> Said:
    """What a command answers: its exit status, what it said, and what it complained of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path / "var"))

    def say(*words: str, key: str = "admin-key", url: str = "") -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, "--url", url or api.url, "--key", key])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return say


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(simplejpeg.encode_jpeg(np.full((480, 640, 3), 90, np.uint8), quality=95))
    return path


def has(path: Path, colour: tuple[int, int, int]) -> bool:
    """On the upright lines of the dog's box."""
    pixels = simplejpeg.decode_jpeg(path.read_bytes()).astype(int)
    line = pixels[BOX[1] : BOX[3], BOX[0] - 1 : BOX[0] + 2]
    return bool((np.abs(line - np.array(colour)).max(axis=2) < 60).any())


class TestSaveDir:
    def test_a_picture_is_written_with_its_boxes_for_this_user_only(self, said, tmp_path):
        source = picture(tmp_path / "door.jpg")
        before = source.read_bytes()
        status, told, _ = said("detect", str(source), "--backend", "legacy", "--save-dir", "seen", "--json")
        assert status == Status.DONE
        saved = Path(json.loads(told)["saved"])
        assert saved == Path("seen/door.jpg.boxes.jpg")
        assert has(saved, LEGACY_COLOUR)
        assert not has(saved, TRITON_COLOUR)
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        assert source.read_bytes() == before

    def test_both_sides_boxes_are_in_one_picture_and_their_agreement_is_told(self, said, tmp_path):
        source = picture(tmp_path / "door.jpg")
        status, told, _ = said("detect", str(source), "--backend", "both", "--save-dir", "seen")
        assert status == Status.DONE
        saved = tmp_path / "seen" / "door.jpg.boxes.jpg"
        assert has(saved, TRITON_COLOUR)
        assert "on legacy (FORCED" in told
        assert "on triton (FORCED" in told
        assert "both sides agree" in told
        by_side = json.loads(said("detect", str(source), "--backend", "both", "--json")[1])
        assert {side: by_side[side]["served_by"]["backend"] for side in ("legacy", "triton")} == {
            "legacy": "legacy", "triton": "triton",
        }  # fmt: skip

    def test_pictures_of_one_name_in_two_folders_become_two(self, said, tmp_path):
        sources = [str(picture(tmp_path / folder / "a.jpg")) for folder in ("front", "back")]
        first = said("detect", *sources, "--save-dir", "seen")
        names = {path.name for path in (tmp_path / "seen").iterdir()}
        assert first[0] == Status.DONE
        assert len(names) == 2
        said("detect", *reversed(sources), "--save-dir", "seen")
        assert {path.name for path in (tmp_path / "seen").iterdir()} == names, "the same names another time"

    @pytest.mark.parametrize("link", [None, os.symlink, os.link])
    def test_a_picture_that_was_asked_for_is_never_written_over(self, said, tmp_path, link):
        source = picture(tmp_path / "door.jpg")
        place = tmp_path / "door.jpg.boxes.jpg"
        other = picture(tmp_path / "kept" / "other.jpg") if link else picture(place)
        if link:
            link(other, place)
        before = other.read_bytes()
        status, told, complaint = said("detect", str(source), str(other), "--save-dir", ".")
        assert status == Status.NOT_DONE
        assert "is not written over" in complaint
        assert other.read_bytes() == before
        assert told.count("dog") == 2, "what was found is told all the same"

    def test_what_cannot_be_decoded_here_or_written_is_told_in_words(self, said, tmp_path):
        whole = picture(tmp_path / "whole.jpg")
        (broken := tmp_path / "broken.jpg").write_bytes(whole.read_bytes()[:2000])
        status, told, complaint = said("detect", str(broken), str(whole), "--save-dir", "seen")
        assert status == Status.NOT_DONE
        assert complaint.startswith(f"{broken}: ")
        assert len(complaint.splitlines()) == 1
        assert "saved seen/whole.jpg.boxes.jpg" in told
        (tmp_path / "a-file").touch()
        status, _, complaint = said("detect", str(whole), "--save-dir", "a-file")
        assert (status, "--save-dir a-file: " in complaint) == (Status.NOT_DONE, True)


class TestConsole:
    def test_the_link_holds_the_key_in_its_fragment_and_stands_alone_on_stdout(self, api, said):
        status, told, complaint = said("console")
        link = urlsplit(told.strip())
        assert status == Status.DONE
        assert (link.query, unquote(link.fragment)) == ("", "key=admin-key")
        assert told.startswith(f"{api.url}/#")
        assert complaint == "as ops (admin)\n"
        assert json.loads(said("console", "--json", key="viewer-key")[1])["role"] == "viewer"

    def test_a_key_of_odd_signs_arrives_whole(self):
        link = console.link_of(BackendApi("http://localhost:1", "a b&c#d/e%"))
        assert unquote(urlsplit(link).fragment) == "key=a b&c#d/e%"

    def test_a_browser_is_led_there_by_a_page_of_this_user_not_by_its_arguments(
        self, said, tmp_path, monkeypatch
    ):
        opened: list[str] = []
        monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
        status, told, _ = said("console", "--open")
        assert status == Status.DONE
        assert "admin-key" not in opened[0]
        page = Path(unquote(urlsplit(opened[0]).path))
        assert told.strip() in page.read_text()
        assert stat.S_IMODE(page.stat().st_mode) == 0o600

    def test_only_a_terminal_is_shown_the_key_by_up(self, monkeypatch, capsys):
        api = BackendApi("http://localhost:8080", "secret")
        assert "secret" not in stack._console(api)
        assert "crossfade console" in stack._console(api)
        monkeypatch.setenv("TERM", "xterm")
        terminal = Terminal()
        with terminal.everything():
            shown = stack._console(api)
        terminal.said()
        assert shown == "http://localhost:8080/#key=secret"


class TestEnds:
    def test_the_status_says_who_refused(self, said, tmp_path):
        source = str(picture(tmp_path / "door.jpg"))
        assert said("console", key="guessed")[0] == Status.REFUSED
        assert said("detect", source, "--backend", "triton", key="viewer-key")[0] == Status.REFUSED
        assert said("detect", source, url="http://127.0.0.1:9")[0] == Status.AWAY
        assert said("detect", str(tmp_path / "nothing.jpg"))[0] == Status.NOT_DONE
        assert said("rollout", "rollback", "--reason", "a try")[0] == Status.DONE

    def test_ctrl_c_ends_what_has_no_end_with_130_and_without_a_traceback(self, tmp_path):
        log = tmp_path / "var" / "log" / "backend.log"
        log.parent.mkdir(parents=True)
        log.write_text('{"event": "began"}\n')
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli", "logs", "backend", "--follow", "--json"],
            env={**os.environ, "CROSSFADE_VAR": str(tmp_path / "var")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            line = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=30)
        finally:
            process.kill()
        assert line == {"part": "backend", "line": '{"event": "began"}'}
        assert (process.returncode, complaint) == (Status.INTERRUPTED, "")
