"""The parts' logs as one stream."""

from __future__ import annotations

import pytest

from backend.stack.logs import Followed, follow, show
from backend.stack.processes import tail
from tests.stack_parts import part


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "one.log"
    path.write_text("old\n")
    return path


def test_only_what_comes_is_news_and_a_line_is_told_when_it_is_whole(log):
    followed = Followed("one", log)
    assert followed.news() == []
    with log.open("a") as file:
        file.write("first\nsec")
        file.flush()
        assert followed.news() == ["first"]
        file.write("ond\n")
    assert followed.news() == ["second"]


def test_what_was_written_around_a_rotation_is_told_once_and_in_order(log):
    followed = Followed("one", log)
    with log.open("a") as file:
        file.write("before\n")
    log.rename(log.with_suffix(".log.1"))
    log.write_text("after\n")
    assert followed.news() == ["before", "after"]
    assert followed.news() == []


def test_a_log_that_is_not_there_yet_is_followed_from_its_beginning(tmp_path):
    followed = Followed("late", tmp_path / "late.log")
    assert followed.news() == []
    (tmp_path / "late.log").write_text("hello\n")
    assert followed.news() == ["hello"]


def test_a_log_that_is_cut_short_is_read_from_its_beginning(log):
    log.write_text("a long line of old things\n")
    followed = Followed("one", log)
    log.write_text("new\n")
    assert followed.news() == ["new"]


def test_each_line_carries_its_parts_name_and_only_the_last_are_shown(tmp_path):
    parts = [part(tmp_path, "yolo26"), part(tmp_path, "front")]
    for one in parts:
        one.log.parent.mkdir(exist_ok=True)
        one.log.write_text("".join(f"{number}\n" for number in range(10)))
    told: list[str] = []
    show(parts, 2, told.append)
    assert told == ["yolo26 | 8", "yolo26 | 9", "front  | 8", "front  | 9"]


def test_following_shows_the_last_lines_first_and_misses_none_after_them(tmp_path):
    one = part(tmp_path, "one")
    one.log.parent.mkdir()
    one.log.write_text("old\n")
    told: list[str] = []

    def goes_on() -> bool:
        if len(told) == 1:
            with one.log.open("a") as file:
                file.write("new\n")
        return len(told) < 2

    follow([one], 1, told.append, goes_on)
    assert told == ["one | old", "one | new"]


def test_of_a_large_log_only_the_end_is_read(tmp_path):
    log = tmp_path / "large.log"
    with log.open("wb") as file:
        file.truncate(2 * 1024**4)  # a hole; whoever read it all would still read tomorrow
        file.seek(0, 2)
        file.write("\nthe last … line\n".encode())
    assert tail(log, 1) == "the last … line"
