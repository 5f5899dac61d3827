"""Those who read logs that are cut meanwhile: they miss nothing, and tell nothing twice."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from backend.stack.logs import Followed, show
from backend.stack.processes import Running, last_words
from backend.stack.rotation import LogBounds, kept, rotate
from backend.stack.running import born
from tests.stack_parts import part

SMALL = LogBounds(max_bytes=100, files=3)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "one.log"


def test_a_follower_misses_nothing_that_was_written_before_the_cut_and_tells_nothing_twice(log):
    log.write_text("old\n" * 100)
    followed = Followed("one", log)
    with log.open("ab", buffering=0) as output:
        output.write(b"seen\n")
        assert followed.news() == ["seen"]
        output.write(b"before the cut\n")
        rotate(log, SMALL)
        output.write(b"after\n")
        assert followed.news() == ["before the cut", "after"]
        output.write(b"more\n")
    assert followed.news() == ["more"]


def cut(log: Path, text: str, files: int = 3) -> None:
    with log.open("a") as output:
        output.write(text)
    assert rotate(log, LogBounds(100, files))


def test_a_copy_of_an_earlier_run_is_no_news(log):
    """LOG_FILES=1 makes none: what stands there is stale."""
    kept(log, 1).write_text("long ago\n" * 100)
    log.write_text("old\n")
    followed = Followed("one", log)
    cut(log, "lost\n" * 100, files=1)
    log.write_text("new\n")
    assert followed.news() == ["new"]


@pytest.mark.parametrize("files", [1, 3])
def test_one_that_was_cut_and_filled_past_the_old_place_is_read_from_its_beginning(log, files):
    log.write_text("00 old\n" * 10)
    followed = Followed("one", log)
    cut(log, "01 before\n" * 20, files)
    log.write_text("02 after\n" * 100)
    assert followed.news() == ["01 before"] * (20 if files > 1 else 0) + ["02 after"] * 100
    assert followed.news() == []


def test_so_is_one_whose_lines_are_all_alike(log):
    log.write_text("line\n" * 10)
    followed = Followed("one", log)
    cut(log, "line\n" * 200)
    log.write_text("line\n" * 20)
    assert followed.news() == ["line"] * 220


def test_several_cuts_between_two_looks_cost_no_line(log):
    kept(log, 1).write_text("long ago\n" * 100)
    log.write_text("old\n" * 100)
    followed = Followed("one", log)
    for number in range(3):
        cut(log, f"{number} cut\n" * 100, files=5)
    log.write_text("after\n")
    assert followed.news() == [*["0 cut"] * 100, *["1 cut"] * 100, *["2 cut"] * 100, "after"]


def test_a_copy_that_is_made_and_not_cut_off_yet_is_told_once(log):
    log.write_text("old\n" * 100)
    followed = Followed("one", log)
    with log.open("ab", buffering=0) as output:
        output.write(b"new\n")
        shutil.copy(log, kept(log, 1))
        output.write(b"while it is copied\n")
        assert followed.news() == ["new", "while it is copied"]
        output.write(b"and then\n")
        with kept(log, 1).open("ab") as copy:
            copy.write(b"while it is copied\nand then\n")
        os.truncate(log, 0)
        output.write(b"after\n")
    assert followed.news() == ["and then", "after"]


def test_what_a_person_cuts_is_read_on_from_its_beginning(log):
    """`truncate -s 0`, as docs/operations.md says."""
    for _ in range(2):
        cut(log, "older\n" * 100)
    log.write_text("old\n" * 100)
    followed = Followed("one", log)
    os.truncate(log, 0)
    log.write_text("new\n")
    assert followed.news() == ["new"]


def test_the_last_lines_go_on_into_the_older_file(tmp_path):
    one = part(tmp_path, "one")
    one.log.parent.mkdir()
    one.log.write_text("".join(f"{number:03}\n" for number in range(100)))
    rotate(one.log, SMALL)
    with one.log.open("a") as file:
        file.write("100\n")
    told: list[str] = []
    show([one], 3, told.append)
    assert told == ["one | 098", "one | 099", "one | 100"]


def test_why_a_part_ended_is_told_though_its_log_was_just_cut_but_never_by_an_earlier_run(tmp_path):
    log = tmp_path / "one.log"
    now = Running("one", "", os.getpid(), born(os.getpid()), str(log), 1.0, 0, 0)
    kept(log, 1).write_text("an earlier run fell\n")
    os.utime(kept(log, 1), (now.began_at - 60, now.began_at - 60))
    log.write_text("this one began\n")
    assert last_words(now) == "this one began"
    log.write_text("it has no picture\n" * 20)
    rotate(log, SMALL)
    assert last_words(now, 1) == "it has no picture"
