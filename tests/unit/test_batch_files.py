"""What a batch reads and writes: names, shards, folders, lines; whatever was killed when."""

from __future__ import annotations

import json
import os
import resource
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.batch.errors import CannotBatch
from backend.batch.ledger import scratch
from backend.batch.listing import Listing
from backend.batch.names import Shard, label, name_in
from backend.batch.picture import Unread, read_picture
from backend.batch.sheet import Sheet, mend
from tests.batches import lines_of, pictures

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


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """In each file; what is more is refused as by a disk that is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_is_full_leaves_no_half_line(tmp_path: Path) -> None:
    """The kernel takes as much of a line as there is room for, and only then says no."""
    path = tmp_path / "out.jsonl"
    sheet = Sheet(path)
    sheet.write({"file": "a"})
    with room_for(path.stat().st_size + 20), pytest.raises(CannotBatch, match="too large"):
        sheet.write({"file": "b" * 100})
    sheet.write({"file": "c"})
    sheet.close()
    assert [line["file"] for line in lines_of(path)] == ["a", "c"]


def test_names_that_find_no_room_for_their_scratch_file_are_told_in_words() -> None:
    """As many as stay in memory need none."""
    names = [f"{number:05}{'-' * 250}".encode() for number in range(10_000)]
    with room_for(100_000), scratch() as ledger:
        ledger.list(names[:1000])
        assert ledger.waiting == 1000
    with room_for(100_000), pytest.raises(CannotBatch, match="TMPDIR"), scratch() as ledger:
        ledger.list(names)
