"""A batch that dies before, or in the middle of, every single thing that it does to the disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.batch.names import Shard, label, line_of, name_in
from backend.batch.work import Order, prepared
from tests.batches import require_exactly_once

CALLS = (
    "open", "write", "pwrite", "truncate", "ftruncate", "fchmod", "fsync", "replace", "close", "unlink",
)  # fmt: skip
KILLED, DONE = 9, 0
BEFORE = {"detections": [], "by": "an earlier run"}


def order(here: Path) -> Order:
    return Order(here.parent / "in", here / "out.jsonl", here / "out.errors.jsonl", Shard(), resume=True)


def whole_run(here: Path) -> None:
    with prepared(order(here)) as work:
        for number, name in enumerate(work.names):
            if number % 3 == 2:
                line = {**label(name), "status": 400, "error": "no", "may_be_tried_again": False}
                work.sheets.errors.write(line)
            else:
                work.sheets.answers.write(line_of(name, {"detections": []}))


def killed_at(here: Path, count: int) -> int:
    """What becomes of a process that ends at its count-th call, of a write with half of it done."""
    if not (child := os.fork()):
        left = [count]
        for name in CALLS:
            setattr(os, name, deadly(getattr(os, name), left))
        try:
            whole_run(here)
            os._exit(DONE)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def deadly(call: Callable, left: list[int]) -> Callable:
    def called(*words, **more):
        left[0] -= 1
        if left[0]:
            return call(*words, **more)
        if call.__name__ in {"write", "pwrite"}:
            call(words[0], words[1][: len(words[1]) // 2], *words[2:])
        os._exit(KILLED)

    return called


def begin(here: Path) -> None:
    """Nothing was told of yet."""


def go_on(here: Path) -> None:
    """Both files have what is to be taken out of their middle, and a torn end."""
    with prepared(order(here)) as work:
        first, second, third, *_ = work.names
        for name in (first, first, second):
            work.sheets.answers.write(line_of(name, BEFORE))
        for again in (True, False):
            line = {**label(third), "status": 400, "error": "no", "may_be_tried_again": again}
            work.sheets.errors.write(line)
    for name in ("out.jsonl", "out.errors.jsonl"):
        with (here / name).open("ab") as file:
            file.write(b'{"file":"0\xc3')


@pytest.mark.parametrize("prepare", [begin, go_on])
def test_a_kill_at_any_call_to_the_disk_loses_no_line_and_doubles_none(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    names = {f"{number}.jpg".encode() for number in range(7)}
    for folder in ("in", "begun"):
        (tmp_path / folder).mkdir()
    for name in names:
        (tmp_path / "in" / name.decode()).touch()
    prepare(tmp_path / "begun")
    kept = told_before(tmp_path / "begun")
    count, ended = 0, KILLED
    while ended == KILLED:
        count += 1
        here = tmp_path / str(count)
        shutil.copytree(tmp_path / "begun", here)
        ended = killed_at(here, count)
        whole_run(here)
        require_exactly_once(names, here / "out.jsonl")
        assert told_before(here) == kept, count
    assert ended == DONE
    assert count > 20


def told_before(here: Path) -> set[bytes]:
    return {name_in(line) for line in lines_of_whole(here / "out.jsonl") if line.get("by")}


def lines_of_whole(path: Path) -> list[dict]:
    whole = path.read_bytes().rpartition(b"\n")[0].split(b"\n") if path.exists() else []
    return [json.loads(line) for line in whole if line]
