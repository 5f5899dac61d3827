"""How a batch begins and goes on: what is there already, who else writes, what was asked before, what it holds."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from backend.batch.errors import CannotBatch
from backend.batch.names import Shard, label, name_in
from backend.batch.work import Order, prepared
from tests.batches import lines_of, pictures, require_exactly_once
from tests.services import ROOT


def order(tmp_path: Path, **changed: object) -> Order:
    given = {"folder": tmp_path / "in", "shard": Shard(), "resume": False} | changed
    out = tmp_path / "out.jsonl"
    return Order(**{"out": out, "errors": out.with_suffix(".errors.jsonl"), **given})  # type: ignore[arg-type]


def answer(work, names) -> None:
    for name in names:
        work.sheets.answers.write({**label(name), "detections": []})


def test_the_order_is_that_of_the_bytes_whatever_the_disk_says(tmp_path: Path) -> None:
    names = pictures(tmp_path / "in", 40)
    with prepared(order(tmp_path)) as work:
        assert list(work.names) == sorted(names)


def test_results_that_are_there_are_not_touched_without_resume(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 2)
    for name in ("out.jsonl", "out.errors.jsonl"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(CannotBatch, match="--resume"), prepared(order(tmp_path)):
            pass
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_lines_of_unknown_origin_are_not_gone_on_with(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 2)
    (tmp_path / "out.jsonl").write_text('{"file":"gate/00000.jpg"}\n')
    with (
        pytest.raises(CannotBatch, match="does not say what"),
        prepared(order(tmp_path, resume=True)),
    ):
        pass
    assert lines_of(tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    "changed",
    [{"detector": "yolo26"}, {"min_confidence": 0.25}, {"backend": "triton"}, {"shard": Shard(0, 2)},
     {"folder": "other"}],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_another_question_does_not_go_on_with_the_answers_to_this_one(tmp_path: Path, changed: dict) -> None:
    pictures(tmp_path / "in", 2)
    pictures(tmp_path / "other", 2)
    with prepared(order(tmp_path)) as work:
        answer(work, [next(work.names)])
    if "folder" in changed:
        changed = {"folder": tmp_path / "other"}
    with (
        pytest.raises(CannotBatch, match="was begun with"),
        prepared(order(tmp_path, resume=True, **changed)),
    ):
        pass
    with prepared(order(tmp_path, resume=True)) as work:
        assert work.waiting == 1


def test_two_batches_cannot_write_the_same_results_and_a_kill_leaves_no_lock(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 2)
    words = f"""
import time
from pathlib import Path
from tests.unit.test_batch_going_on import order
from backend.batch.work import prepared
with prepared(order(Path({str(tmp_path)!r}))):
    print("here", flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "here\n"
        with pytest.raises(CannotBatch, match="another batch"), prepared(order(tmp_path, resume=True)):
            pass
    finally:
        other.kill()
        other.wait()
    with prepared(order(tmp_path, resume=True)) as work:
        assert work.waiting == 2


def test_both_files_torn_and_a_line_doubled_go_on_to_one_line_each(tmp_path: Path) -> None:
    names = pictures(tmp_path / "in", 6)
    first, second, third, fourth, *rest = sorted(names)
    with prepared(order(tmp_path)) as work:
        answer(work, [first, second, first])
        work.sheets.errors.write({**label(third), "status": 400, "error": "no", "may_be_tried_again": False})
        work.sheets.errors.write(
            {**label(fourth), "status": 503, "error": "busy", "may_be_tried_again": True}
        )
        work.sheets.errors.write(
            {**label(second), "status": 503, "error": "busy", "may_be_tried_again": True}
        )
    for name in ("out.jsonl", "out.errors.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"file":"gate/000')
    with prepared(order(tmp_path, resume=True)) as work:
        assert list(work.names) == [fourth, *rest]
        assert [name_in(line) for line in lines_of(tmp_path / "out.errors.jsonl")] == [third]
        answer(work, [fourth, *rest])
    require_exactly_once(names, tmp_path / "out.jsonl")


def test_what_was_answered_and_is_gone_since_stays_answered_and_what_is_new_is_asked(tmp_path: Path) -> None:
    names = pictures(tmp_path / "in", 4)
    gone, *rest = sorted(names)
    with prepared(order(tmp_path)) as work:
        answer(work, [gone])
    (tmp_path / "in" / gone.decode()).unlink()
    (tmp_path / "in" / "new.jpg").write_bytes(b"x")
    with prepared(order(tmp_path, resume=True)) as work:
        assert list(work.names) == sorted([*rest, b"new.jpg"])
    assert [name_in(line) for line in lines_of(tmp_path / "out.jsonl")] == [gone]


def test_a_folder_without_a_picture_is_no_success_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").touch()
    for folder in ("in", "nowhere"):
        with pytest.raises(CannotBatch, match=folder), prepared(order(tmp_path, folder=tmp_path / folder)):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("damage", ["doubled", "lost", "foreign", "torn"])
def test_the_exactly_once_check_sees_what_it_is_for(tmp_path: Path, damage: str) -> None:
    out = tmp_path / "out.jsonl"
    names = {b"a.jpg", b"b.jpg"}
    lines = [json.dumps(label(name)) + "\n" for name in sorted(names)]
    out.write_text("".join(lines))
    require_exactly_once(names, out)
    damaged = {
        "doubled": [*lines, lines[0]], "lost": lines[:1], "foreign": [*lines, '{"file": "c.jpg"}\n'],
        "torn": [*lines, '{"fi'],
    }[damage]  # fmt: skip
    out.write_text("".join(damaged))
    with pytest.raises(AssertionError):
        require_exactly_once(names, out)


# --- memory -----------------------------------------------------------------------------------------------


def peak_bytes(here: Path, *, holding: bool = False) -> int:
    """Of Python's own memory. SQLite's is bounded by its cache: names that find no room on the disk are an error."""
    held = []
    tracemalloc.start()
    try:
        with prepared(order(here, resume=True)) as work:
            held.extend(name for name in work.names if holding)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_the_pictures_take_no_more_memory(tmp_path: Path) -> None:
    """Half of them told already. To hold the names, as the control does, would be seen."""
    for count in (200, 2_000):
        folder = tmp_path / str(count)
        (folder / "in").mkdir(parents=True)
        for number in range(count):
            (folder / "in" / f"{number:05}{'-' * 200}.jpg").touch()
        with prepared(order(folder)) as work:
            answer(work, (name for number, name in enumerate(work.names) if number % 2))
    few, many = (peak_bytes(tmp_path / count) for count in ("200", "2000"))
    control = peak_bytes(tmp_path / "2000", holding=True)
    print(f"peak: {few:,} bytes of 200 names, {many:,} of 2,000, {control:,} where they are held")
    assert many - few < 100_000 < control - many
