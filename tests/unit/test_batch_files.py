"""What a batch reads and writes: names, shards, folders, lines; whatever was killed when."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.batch.errors import CannotBatch
from backend.batch.listing import Listing
from backend.batch.names import Shard, label, name_in
from backend.batch.picture import Unread, read_picture
from backend.batch.sheet import Sheet, mend
from backend.batch.work import Order, prepared
from tests.batches import lines_of, pictures, require_exactly_once
from tests.services import ROOT

NAMES = st.binary(min_size=1, max_size=30)


# --- names and parts --------------------------------------------------------------------------------------


@given(NAMES)
def test_a_name_of_any_bytes_is_read_back_from_its_line_and_the_line_is_json_for_everyone(
    name: bytes,
) -> None:
    line = json.dumps(label(name))
    assert name_in(json.loads(line)) == name
    line.encode().decode("utf-8")
    json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8")  # half a sign would have no bytes


@given(st.sets(NAMES), st.integers(1, 12))
def test_all_parts_together_are_the_whole_and_no_two_share_a_picture(names: set[bytes], count: int) -> None:
    parts = [{name for name in names if Shard(index, count).has(name)} for index in range(count)]
    assert set().union(*parts) == names
    assert sum(map(len, parts)) == len(names)


def test_a_part_has_about_its_share_and_keeps_it_when_pictures_come() -> None:
    names = [f"yard/{number}.jpg".encode() for number in range(4000)]
    sizes = [sum(Shard(index, 8).has(name) for name in names) for index in range(8)]
    assert max(sizes) < 1.3 * min(sizes)
    of_each = [next(index for index in range(8) if Shard(index, 8).has(name)) for name in names[:10]]
    assert of_each == [2, 1, 0, 0, 5, 4, 0, 7, 6, 2]  # another hash would begin every batch under way anew


@pytest.mark.parametrize("text", ["8/8", "-1/8", "1", "1/0", "a/b", "", "1/2/3"])
def test_a_part_that_there_is_not_is_no_part(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$|invalid literal"):
        Shard.parse(text)


# --- folders ----------------------------------------------------------------------------------------------


def test_strange_names_and_links_are_listed_once_and_a_loop_ends(tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    strange = [b"new\nline.jpg", b"caf\xe9.JPG", b"  .png", b"\x1b[2J.webp", b'"quoted"\\.jpeg']
    for name in strange:
        Path(os.fsdecode(os.fsencode(inside) + b"/" + name)).write_bytes(b"x")
    (inside / "notes.txt").touch()
    (inside / "loop").symlink_to(tmp_path)
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")  # a loop of its own, found when it is read
    (tmp_path / "link.jpg").symlink_to(inside / "  .png")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "lost+found").mkdir()  # of the disk, and root's alone
    (tmp_path / "lost+found" / "inode.jpg").touch()
    listing = Listing(tmp_path)
    names = list(listing.names())
    assert sorted(names) == sorted([*(b"a/b/" + name for name in strange), b"itself.jpg", b"link.jpg"])
    assert listing.links_to_folders == 1
    assert not listing.unreadable


@contextmanager
def open_folder() -> Iterator[Path]:
    """Where another user may look, and nobody who may look everywhere: the tests' own is for its owner."""
    with tempfile.TemporaryDirectory() as created:
        folder = Path(created)
        folder.chmod(0o755)
        was = os.geteuid()
        try:
            yield folder
        finally:
            os.seteuid(was)


def test_a_folder_that_cannot_be_read_is_told_and_hides_no_other() -> None:
    with open_folder() as folder:
        pictures(folder, 4)
        (folder / "secret").mkdir(0o000)
        if os.geteuid() == 0:
            os.seteuid(65534)
        listing = Listing(folder)
        assert len(list(listing.names())) == 4
        assert [name for name, _ in listing.unreadable] == [b"secret"]


def test_the_order_is_that_of_the_bytes_whatever_the_disk_says(tmp_path: Path) -> None:
    names = pictures(tmp_path / "in", 40)
    with prepared(order(tmp_path)) as work:
        assert list(work.names) == sorted(names)


# --- pictures ---------------------------------------------------------------------------------------------


def test_a_picture_that_is_gone_too_large_or_no_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(11))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    again = {}
    for name in ("gone.jpg", "large.jpg", "pipe.jpg", "itself.jpg"):
        with pytest.raises(Unread) as error:
            read_picture(os.fsencode(tmp_path / name), 10)
        again[name] = error.value.again
    assert again == {"gone.jpg": True, "large.jpg": False, "pipe.jpg": False, "itself.jpg": True}


def test_a_picture_that_changes_under_the_reader_is_no_picture(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(100))
    assert read_picture(os.fsencode(path), 1000) == bytes(100)
    real, looks = os.fstat, iter([lambda: path.write_bytes(bytes(50)), lambda: None])

    def fstat(file: int) -> os.stat_result:
        found = real(file)
        next(looks, lambda: None)()
        return found

    monkeypatch.setattr("backend.batch.picture.os.fstat", fstat)
    with pytest.raises(Unread, match="changed"):
        read_picture(os.fsencode(path), 1000)


# --- lines ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 300), st.binary(max_size=6))
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_no_other(
    numbers: list[int], cut: int, rest: bytes
) -> None:
    """`rest` is what a crash left after the cut: zeros, half a line, anything but an end."""
    whole = [
        json.dumps({"file": str(number), "at": index}).encode() + b"\n"
        for index, number in enumerate(numbers)
    ]
    left = b"".join(whole)[:cut]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        path.write_bytes(left + rest.replace(b"\n", b""))
        mend(path, lambda _: True)
        kept = path.read_bytes()
    assert kept == b"".join(whole)[: left.rfind(b"\n") + 1]


def test_what_is_broken_in_the_middle_is_taken_out_and_the_rest_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    lines = [json.dumps({"file": str(number)}).encode() + b"\n" for number in range(5)]
    path.write_bytes(
        b"".join([lines[0], bytes(40) + b"\n", lines[1], b'{"file": "half\n', b"7\n", *lines[2:], b"[]\n"])
    )
    path.chmod(0o640)
    mend(path, lambda line: line["file"] != "3")
    assert path.read_bytes() == b"".join([*lines[:3], lines[4]])
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_disk_that_is_full_leaves_no_half_line(tmp_path: Path) -> None:
    """The kernel takes as much of a line as there is room for, and only then says no."""
    path = tmp_path / "out.jsonl"
    sheet = Sheet(path)
    sheet.write({"file": "a"})
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(CannotBatch, match="too large"):
            sheet.write({"file": "b" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    sheet.write({"file": "c"})
    sheet.close()
    assert [line["file"] for line in lines_of(path)] == ["a", "c"]


# --- beginning and going on -------------------------------------------------------------------------------


def order(tmp_path: Path, **changed: object) -> Order:
    given = {"folder": tmp_path / "in", "shard": Shard(), "resume": False} | changed
    out = tmp_path / "out.jsonl"
    return Order(**{"out": out, "errors": out.with_suffix(".errors.jsonl"), **given})  # type: ignore[arg-type]


def answer(work, names) -> None:
    for name in names:
        work.sheets.answers.write({**label(name), "detections": []})


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
from tests.unit.test_batch_files import order
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

_MEMORY = """
import sys
from pathlib import Path
from backend.batch.names import Shard
from backend.batch.work import Order, prepared
held, here = [], Path(sys.argv[1])
with prepared(Order(here / "in", here / "out.jsonl", here / "out.errors.jsonl", Shard(), resume=True)) as work:
    for name in work.names:
        if sys.argv[2] == "holding":
            held.append(name)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak_kib(folder: Path, how: str) -> int:
    command = [sys.executable, "-c", _MEMORY, str(folder), how]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_ten_times_the_pictures_take_no_more_memory(tmp_path: Path) -> None:
    """Half of them told already. To hold the names, as the control does, would be seen."""
    for count in (1_000, 10_000):
        folder = tmp_path / str(count)
        (folder / "in").mkdir(parents=True)
        for number in range(count):
            (folder / "in" / f"{number:05}{'-' * 200}.jpg").touch()
        with prepared(order(folder)) as work:
            answer(work, (name for number, name in enumerate(work.names) if number % 2))
    few, many, control = (
        peak_kib(tmp_path / name, how)
        for name, how in (("1000", "reading"), ("10000", "reading"), ("10000", "holding"))
    )
    print(f"peak: {few} KiB of 1,000 names, {many} of 10,000, {control} where they are held")
    assert control - many > 1000
    assert many - few < 3500
