"""Files that are there as a whole or not at all, for this user only."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

import pytest

from backend.private_files import replace_with


def failing(file: BinaryIO) -> None:
    file.write(b"half")
    raise RuntimeError("no more")


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


@pytest.mark.parametrize("content", [b"all", lambda file: file.write(b"all")], ids=["bytes", "writer"])
def test_it_is_for_this_user_only_also_where_an_open_one_was(
    path: Path, content: bytes | Callable[[BinaryIO], object]
) -> None:
    path.write_text("old")
    path.chmod(0o644)
    replace_with(path, content)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"all", 0o600)
    assert names_in(path.parent) == [path.name]


def test_what_fails_midway_leaves_what_was_there_and_no_draft(path: Path) -> None:
    path.write_text("old")
    with pytest.raises(RuntimeError, match="no more"):
        replace_with(path, failing)
    assert path.read_text() == "old"
    assert names_in(path.parent) == [path.name]


def test_the_longest_name_of_a_file_has_a_draft_too(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    replace_with(path, b"all")
    assert path.read_bytes() == b"all"


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    path.symlink_to(other)
    replace_with(path, b"all")
    assert path.is_symlink()
    assert other.read_bytes() == b"all"


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    replace_with(pipe, b"all")
    reader.join()
    assert heard == [b"all"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


class TestNotByForce:
    @pytest.fixture(params=["links", "no links"])
    def _file_system(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*paths: object) -> NoReturn:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        if request.param == "no links":
            monkeypatch.setattr(os, "link", refuse)

    @pytest.mark.usefixtures("_file_system")
    def test_one_that_is_not_there_is_made(self, path: Path) -> None:
        replace_with(path, b"all", force=False)
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"all", 0o600)
        assert names_in(path.parent) == [path.name]

    @pytest.mark.usefixtures("_file_system")
    def test_one_that_came_meanwhile_stays(self, path: Path) -> None:
        def slow(file: BinaryIO) -> None:
            path.write_text("somebody's")
            file.write(b"all")

        with pytest.raises(FileExistsError):
            replace_with(path, slow, force=False)
        assert path.read_text() == "somebody's"
        assert names_in(path.parent) == [path.name]

    def test_not_even_a_link_that_leads_nowhere_is_replaced(self, path: Path) -> None:
        path.symlink_to("nowhere")
        with pytest.raises(FileExistsError):
            replace_with(path, b"all", force=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_is_told_to_end_midway_leaves_no_draft(path: Path, number: signal.Signals) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom backend.private_files import replace_with\n"
        "def slow(file):\n    print('writing', flush=True)\n    time.sleep(60)\n"
        "replace_with(Path(sys.argv[1]), slow)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        assert len(names_in(path.parent)) == 1  # the draft
        writer.send_signal(number)
        assert writer.wait() == 128 + number
    assert names_in(path.parent) == []
