"""Logs of a bounded size: nothing torn, next to nothing lost, and nobody waits for whoever keeps them."""

from __future__ import annotations

import errno
import shutil
import stat
import subprocess
import sys
import time
from contextlib import suppress
from io import BufferedWriter, FileIO
from pathlib import Path

import pytest

from backend.stack import rotation
from backend.stack.rotation import LogBounds, begin_anew, kept, rotate
from tests.log_writer import line_of

pytestmark = pytest.mark.alone

SMALL = LogBounds(max_bytes=100, files=3)
SHORT_WRITES = """
import errno, resource, signal, sys
from pathlib import Path
from backend.stack.rotation import LogBounds, rotate
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))
try:
    rotate(Path(sys.argv[1]), LogBounds(20_000, 3))
    print("cut")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
LOSS = 0.01  # of the lines, at thousands a second and a cut for each hundred: as no backend's log is cut


@pytest.fixture
def log(tmp_path):
    return tmp_path / "one.log"


def written(log: Path) -> list[str]:
    """Oldest first."""
    older = sorted(log.parent.glob(f"{log.name}.*"), key=lambda path: -int(path.suffix[1:]))
    return [line for path in (*older, log) for line in path.read_text().splitlines()]


class TestRotate:
    def test_one_that_fits_is_left_alone(self, log):
        log.write_text("x" * SMALL.max_bytes)
        assert not rotate(log, SMALL)
        assert [path.name for path in log.parent.iterdir()] == ["one.log"]

    def test_its_text_moves_on_by_one_and_the_oldest_goes(self, log):
        for text in "abcde":
            log.write_text(text * 200 + "\n")
            assert rotate(log, SMALL)
        assert [path.read_text()[:1] for path in (kept(log, 1), kept(log, 2))] == ["e", "d"]
        assert sorted(path.name for path in log.parent.iterdir()) == ["one.log", "one.log.1", "one.log.2"]
        assert log.stat().st_size == 0

    def test_whoever_writes_goes_on_in_the_same_file_at_its_beginning(self, log):
        with log.open("ab", buffering=0) as output:
            output.write(b"before\n" * 100)
            rotate(log, SMALL)
            output.write(b"after\n")
        assert log.read_bytes() == b"after\n"

    def test_a_line_that_is_half_written_is_waited_for(self, log):
        with log.open("ab", buffering=0) as output:
            output.write(b"whole\n" * 100 + b"ha")
            rotate(log, SMALL, sleep=lambda _: output.write(b"lf\n") and None)
        assert written(log) == ["whole"] * 100 + ["half"]

    def test_a_line_that_never_ends_is_not_waited_for_for_ever(self, log):
        log.write_bytes(b"whole\n" * 100 + b"ha")
        waits: list[float] = []
        assert rotate(log, SMALL, sleep=waits.append)
        assert len(waits) == 2 * rotation.LINE_TRIES  # before the copy is in its place, and behind it
        assert written(log)[-1] == "ha"

    def test_with_one_file_nothing_older_is_kept(self, log):
        log.write_text("x" * 200)
        assert rotate(log, LogBounds(100, 1))
        assert [path.name for path in log.parent.iterdir()] == ["one.log"]

    def test_on_a_full_disk_the_lines_stay_until_they_are_twice_too_many(self, log, monkeypatch):
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr(shutil, "copyfileobj", full)
        log.write_text("x" * 150)
        with pytest.raises(OSError, match="no space left"):
            rotate(log, SMALL)
        assert (log.stat().st_size, list(log.parent.iterdir())) == (150, [log])
        log.write_text("x" * 201)
        assert rotate(log, SMALL)
        assert log.stat().st_size == 0

    def test_the_oldest_goes_before_the_copy_is_made(self, log, monkeypatch):
        """Its room is the copy's."""
        copying = shutil.copyfileobj
        seen: list[list[str]] = []

        def copy(*files: object) -> None:
            seen.append(sorted(path.name for path in log.parent.glob("*.[0-9]")))
            copying(*files)  # type: ignore[arg-type]

        for path in (kept(log, 1), kept(log, 2)):
            path.write_text("old")
        monkeypatch.setattr(shutil, "copyfileobj", copy)
        log.write_text("x" * 150 + "\n")
        rotate(log, SMALL)
        assert seen[0] == ["one.log.1"]

    def test_a_disk_that_is_nearly_full_takes_part_of_the_copy_and_nothing_is_cut(self, log):
        """The kernel writes what has room and says so; only the next write fails. Real, in a process of its own."""
        log.write_bytes(b"a line that must not be lost\n" * 1000)
        kept(log, 1).write_text("older\n")
        asked = subprocess.run(
            [sys.executable, "-c", SHORT_WRITES, str(log)], capture_output=True, text=True, check=True
        )
        assert asked.stdout == "EFBIG\n"
        assert log.stat().st_size == 29_000
        assert kept(log, 1).read_text() == "older\n"
        assert not log.with_name("one.log.part").exists()

    def test_a_disk_that_fills_while_it_is_rotated_costs_no_older_file(self, log, monkeypatch):
        """Each look would push one more copy of the same lines in, until nothing older is left."""
        copying = shutil.copyfileobj
        for number in (1, 2, 3):
            kept(log, number).write_text(f"older {number}\n")

        def fills(source: FileIO, copy: BufferedWriter) -> None:
            first = source.tell() == 0
            copying(source, copy)
            with log.open("ab") as output:
                output.write(b"meanwhile\n")
            if not first:
                raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr(shutil, "copyfileobj", fills)
        log.write_bytes(b"whole\n" * 25)
        for _ in range(3):
            with suppress(OSError):
                rotate(log, LogBounds(100, 5))
        assert [kept(log, number).read_text() for number in (1, 2, 3)] == [
            f"older {number}\n" for number in (1, 2, 3)
        ]

    def test_once_the_copy_is_in_its_place_the_log_is_cut_whatever_comes(self, log, monkeypatch):
        copying, placed = shutil.copyfileobj, kept(log, 1)

        def fills(source: FileIO, copy: BufferedWriter) -> None:
            if placed.exists():
                raise OSError(errno.ENOSPC, "no space left")
            copying(source, copy)

        monkeypatch.setattr(shutil, "copyfileobj", fills)
        log.write_bytes(b"whole\n" * 25)
        assert rotate(log, SMALL)
        assert (log.stat().st_size, placed.read_bytes()) == (0, b"whole\n" * 25)

    def test_a_copy_is_for_those_who_may_read_the_log(self, log):
        log.write_text("x" * 150 + "\n")
        log.chmod(0o600)
        rotate(log, SMALL)
        assert stat.S_IMODE(kept(log, 1).stat().st_mode) == 0o600

    @pytest.mark.parametrize("files", [1, 2, 3])
    def test_fewer_files_than_before_leave_none_behind_but_what_is_somebody_s_own(self, log, files):
        own = log.with_name("one.log.20261122")
        for path in (*(kept(log, number) for number in range(1, 12)), own):
            path.write_text("older\n")
        begin_anew(log, files - 1)
        assert len(list(log.parent.glob("*.log.?"))) == files - 1
        log.write_text("x" * 150 + "\n")
        for _ in range(2):
            begin_anew(log, files - 1)
        assert not kept(log, files).exists()
        assert not kept(log, 11).exists()
        assert own.exists()

    @pytest.mark.parametrize("files", [1, 2, 4])
    def test_a_new_run_keeps_as_many_of_the_runs_before(self, log, files):
        for run in range(6):
            begin_anew(log, files - 1)
            log.write_text(f"run {run}\n")
        assert written(log) == [f"run {run}" for run in range(6 - files, 6)]


class TestWriters:
    @pytest.mark.parametrize("processes", [1, 3])
    def test_what_real_processes_write_meanwhile_is_whole_in_order_and_nearly_complete(self, log, processes):
        lines = 6_000 // processes
        with log.open("ab") as output:
            writer = subprocess.Popen(
                [sys.executable, "-m", "tests.log_writer", "w", str(lines), str(processes)], stdout=output
            )
        cuts = 0
        while writer.poll() is None:
            cuts += rotate(log, LogBounds(20_000, 100))
            time.sleep(0.01)
        assert writer.returncode == 0
        assert cuts > 5
        found = written(log)
        for name in (f"w{index}" for index in range(processes)):
            own = [line for line in found if line.startswith(f"{name} ")]
            assert set(own) <= {line_of(name, number) for number in range(lines)}  # none is torn
            assert own == sorted(set(own))  # none twice, all in order
            assert len(own) >= lines * (1 - LOSS)
        assert {line[:1] for line in found} == {"w"}

    def test_a_log_that_is_not_opened_for_appending_would_get_a_hole(self, log):
        """The control: the parts' logs are opened so that whoever cuts them leaves none."""
        with log.open("wb", buffering=0) as output:
            output.write(b"before\n" * 100)
            rotate(log, SMALL)
            output.write(b"after\n")
        assert log.read_bytes().startswith(b"\0")
