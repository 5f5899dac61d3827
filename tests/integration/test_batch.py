"""`crossfade batch` against a real backend over scripted sides: killed, refused, turned away, and gone on with."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.batch.names import label, name_in
from tests import batches
from tests.backends import NOBODY, Backend, running_backend
from tests.batches import lines_of, pictures, require_exactly_once, run, scripted, start
from tests.legacy_process import legacy_process
from tests.services import ROOT, free_port

pytestmark = pytest.mark.beside

KILLS = 10


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """Over a legacy side that takes 4 ms a picture, one at a time."""
    with legacy_process(0.004) as legacy, running_backend(legacy=legacy) as backend:
        yield backend


def test_killed_at_any_moment_ten_times_and_gone_on_with_each_picture_has_one_line(
    tmp_path: Path, backend: Backend
) -> None:
    names = pictures(tmp_path / "in", 150)
    refused = tmp_path / "in" / "gate" / "00000.jpg"
    refused.write_bytes(b"no picture")
    out, chance, told = tmp_path / "out.jsonl", random.Random(7), []
    for _ in range(KILLS):
        process = start(tmp_path / "in", out, backend.url, "--resume", "--concurrency", "8")
        process.until_more(out, told[-1] if told else 0)
        time.sleep(chance.uniform(0, 0.06))
        process.process.kill()
        process.ended()
        told.append(len(out.read_bytes().splitlines()))
        with out.open("ab") as file:  # what a machine that loses its power does to the last line
            file.write(b'{"file":"gate/000' if chance.random() < 0.5 else b"")
    print(f"lines after each kill: {told}")
    assert told[-1] < len(names)
    ended = run(tmp_path / "in", out, backend.url, "--resume")
    assert ended.returncode == 0, ended.stderr
    require_exactly_once(names, out)
    (error,) = lines_of(out.with_suffix(".errors.jsonl"))
    assert (error["file"], error["status"], error["may_be_tried_again"]) == ("gate/00000.jpg", 400, False)
    assert {"detections", "image", "served_by", "timing_ms"} < lines_of(out)[0].keys()


def test_an_interruption_ends_it_at_once_and_the_command_goes_on_with_it(
    tmp_path: Path, backend: Backend
) -> None:
    names = pictures(tmp_path / "in", 100)
    out = tmp_path / "out.jsonl"
    process = start(tmp_path / "in", out, backend.url)
    process.until_more(out, 5)
    process.process.terminate()
    status, told = process.ended()
    assert status == 130
    assert "--resume goes on" in told
    assert 5 < len(lines_of(out)) < len(names)
    ended = run(tmp_path / "in", out, backend.url, "--resume", "--json")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    summary = json.loads(ended.stdout)
    assert summary["pictures"] == len(names) == summary["done_before"] + summary["answered"]
    require_exactly_once(names, out)


def test_all_parts_together_are_the_whole(tmp_path: Path, backend: Backend) -> None:
    names = pictures(tmp_path / "in", 40)
    for part in range(3):
        out = tmp_path / f"part-{part}.jsonl"
        assert run(tmp_path / "in", out, backend.url, "--shard", f"{part}/3").returncode == 0
    told = [name_in(line) for part in range(3) for line in lines_of(tmp_path / f"part-{part}.jsonl")]
    assert sorted(told) == sorted(names)


def test_strange_names_arrive_and_what_vanishes_or_cannot_be_read_is_an_error_line(
    tmp_path: Path, backend: Backend
) -> None:
    names = {b"new\nline.jpg", b"caf\xe9.jpg", b"gone.jpg"}
    root = os.fsencode(tmp_path / "in")
    (tmp_path / "in").mkdir()
    for name in names - {b"gone.jpg"}:
        Path(os.fsdecode(root + b"/" + name)).write_bytes(batches.sample_jpeg())
    (tmp_path / "in" / "gone.jpg").symlink_to("nowhere")
    out = tmp_path / "out.jsonl"
    assert run(tmp_path / "in", out, backend.url).returncode == 1
    require_exactly_once(names, out)
    (error,) = lines_of(out.with_suffix(".errors.jsonl"))
    assert (error["file"], error["status"], error["may_be_tried_again"]) == ("gone.jpg", None, True)
    (tmp_path / "in" / "gone.jpg").unlink()
    (tmp_path / "in" / "gone.jpg").write_bytes(batches.sample_jpeg())
    assert run(tmp_path / "in", out, backend.url, "--resume").returncode == 0
    assert lines_of(out.with_suffix(".errors.jsonl")) == []
    require_exactly_once(names, out)


def test_a_question_that_is_wrong_ends_it_before_it_blames_a_picture(
    tmp_path: Path, backend: Backend
) -> None:
    names = pictures(tmp_path / "in", 20)
    out = tmp_path / "out.jsonl"
    ended = run(tmp_path / "in", out, backend.url, "--detector", "yolo99")
    assert ended.returncode == 4
    assert "yolo99" in ended.stderr
    assert lines_of(out) == lines_of(out.with_suffix(".errors.jsonl")) == []
    assert run(tmp_path / "in", tmp_path / "b.jsonl", backend.url, "--backend", "triton").returncode == 4
    assert len(names) == 20


def test_a_backend_that_is_nowhere_ends_it_with_a_status_of_its_own(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 3)
    ended = run(tmp_path / "in", tmp_path / "out.jsonl", f"http://{NOBODY}", "--patience", "0.5")
    assert ended.returncode == 3
    assert "nothing was answered for 0.5 s" in ended.stderr
    assert "--resume" in ended.stdout
    assert lines_of(tmp_path / "out.errors.jsonl") == []


# --- a backend that does what it is told ------------------------------------------------------------------


def test_too_few_places_overflow_seldom_where_it_adapts_and_always_where_it_is_told_a_number(
    tmp_path: Path,
) -> None:
    """The fixed number is the control: the places are too few, and somebody counts."""
    names = pictures(tmp_path / "in", 200)
    shares = {}
    for how in ([], ["--concurrency", "16"]):
        with scripted(places=4) as (url, script):
            out = tmp_path / f"{len(how)}.jsonl"
            ended = run(tmp_path / "in", out, url, *how)
        assert ended.returncode == 0, ended.stderr
        require_exactly_once(names, out)
        assert lines_of(out.with_suffix(".errors.jsonl")) == []  # no place is no error
        shares[len(how)] = script.statuses[503] / script.statuses[200]
        assert script.statuses[200] == len(names)
    print(f"turned away for each answer: {shares[0]:.3f} adaptive, {shares[2]:.3f} at 16")
    assert shares[0] < shares[2] / 3


def test_what_may_pass_is_tried_again_by_the_next_run_and_what_was_refused_is_not(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("backend.batch.patience.FIRST_S", 0.01)
    names = pictures(tmp_path / "in", 12)
    late, bad = (tmp_path / "in" / "gate" / f"{number:05}.jpg" for number in (2, 4))
    late.write_bytes(b"late")
    bad.write_bytes(b"bad")
    out = tmp_path / "out.jsonl"
    with scripted() as (url, script):
        script.fails = {b"late": 504, b"bad": 400}
        assert run(tmp_path / "in", out, url).returncode == 1
        require_exactly_once(names, out)
        assert {line["status"]: line["may_be_tried_again"] for line in lines_of(tmp_path / "out.errors.jsonl")} == {
            504: True, 400: False,
        }  # fmt: skip
        script.fails = {}
        assert run(tmp_path / "in", out, url, "--resume").returncode == 0
        require_exactly_once(names, out)
        assert script.seen[b"bad"] == 1
        assert lines_of(out)[-1]["file"] == "gate/00002.jpg"


def test_a_backend_that_goes_away_for_a_moment_costs_no_picture_and_none_twice(tmp_path: Path) -> None:
    names, port = pictures(tmp_path / "in", 150), free_port()
    out = tmp_path / "out.jsonl"
    with scripted(port):
        process = start(tmp_path / "in", out, f"http://127.0.0.1:{port}")
        process.until_more(out, 20)
    with scripted(port):
        status, told = process.ended()
    assert status == 0, told
    require_exactly_once(names, out)
    assert lines_of(out.with_suffix(".errors.jsonl")) == []


def test_a_full_disk_ends_it_in_words_and_room_is_all_that_it_needs(tmp_path: Path) -> None:
    names = pictures(tmp_path / "in", 60)
    out = tmp_path / "out.jsonl"
    with scripted(took_s=0) as (url, _):
        words = [sys.executable, "-m", "tests.batches", "batch", tmp_path / "in", "--out", out, "--url", url]
        line = " ".join(map(str, words))
        full = subprocess.run(  # the limit is in blocks of 512 bytes here
            ["sh", "-c", f"trap '' XFSZ; ulimit -f 2; exec {line}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert full.returncode == 1
        assert str(out) in full.stderr
        assert 0 < len(lines_of(out)) < len(names)
        assert out.read_bytes().endswith(b"\n")
        assert run(tmp_path / "in", out, url, "--resume").returncode == 0
    require_exactly_once(names, out)


def test_results_are_never_written_over(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 1)
    out = tmp_path / "out.jsonl"
    out.write_text(json.dumps(label(b"mine.jpg")) + "\n")
    ended = run(tmp_path / "in", out, f"http://{NOBODY}")
    assert ended.returncode == 1
    assert "--resume" in ended.stderr
    assert lines_of(out) == [{"file": "mine.jpg"}]
