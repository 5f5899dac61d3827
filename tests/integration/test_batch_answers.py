"""`crossfade batch` before backends that change their mind, answer nonsense, or are none; and files in odd places."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ai.core.sample import sample_jpeg
from tests.backends import NOBODY
from tests.batches import lines_of, parser, pictures, require_exactly_once, run, scripted, start

pytestmark = pytest.mark.beside

FINE = json.dumps({"detections": []}).encode()


def mine(folder: Path, count: int = 6) -> set[bytes]:
    """None of them is the picture that the command itself asks with."""
    names = pictures(folder, count)
    for number, name in enumerate(sorted(names)):
        (folder / name.decode()).write_bytes(sample_jpeg() + bytes([number]))
    return names


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"ok"}',
        b"{}",
        b"<html>",
        b"[]",
        b'{"detections":' + b"[" * 100_000,
        b'{"detections":"none"}',
    ],
    ids=["another service", "nothing", "html", "list", "deep", "words"],
)
def test_what_answers_without_detections_is_no_backend(tmp_path: Path, body: bytes) -> None:
    mine(tmp_path / "in")
    with scripted(took_s=0) as (url, script):
        script.says = lambda _: (200, body)
        ended = run(tmp_path / "in", tmp_path / "out.jsonl", url)
    assert ended.returncode == 1
    assert "is it a Crossfade backend?" in ended.stderr
    assert lines_of(tmp_path / "out.jsonl") == lines_of(tmp_path / "out.errors.jsonl") == []


def test_a_line_is_of_its_picture_whatever_the_answer_calls_it(tmp_path: Path) -> None:
    names = mine(tmp_path / "in")
    with scripted(took_s=0) as (url, script):
        script.says = lambda _: (200, b'{"detections":[],"file":"other.jpg","file_base64":"eHh4"}')
        assert run(tmp_path / "in", tmp_path / "out.jsonl", url).returncode == 0
    require_exactly_once(names, tmp_path / "out.jsonl")


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_is_said_of_every_picture_is_said_of_none_even_where_some_were_answered(
    tmp_path: Path, status: int
) -> None:
    """A proxy that takes HTTPS alone says 400 to all; a backend that comes back with another detector says 422."""
    names, out = mine(tmp_path / "in"), tmp_path / "out.jsonl"
    with scripted(took_s=0) as (url, script):
        script.says = lambda _: (
            None if sum(script.statuses.values()) <= 2 else (status, b'{"detail":"to all"}')
        )
        ended = run(tmp_path / "in", out, url, "--json", "--concurrency", "1")
        assert "to all" in ended.stderr
        told = json.loads(ended.stdout)
        assert (told["answered"], told["refused"], told["status"]) == (2, 0, ended.returncode)
        assert ended.returncode != 0
        assert lines_of(tmp_path / "out.errors.jsonl") == []
        script.says = lambda _: None
        assert run(tmp_path / "in", out, url, "--resume").returncode == 0
    require_exactly_once(names, out)


def test_one_that_is_refused_while_ours_finds_no_place_is_asked_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("backend.batch.patience.FIRST_S", 0.01)
    names = mine(tmp_path / "in", 1)
    with scripted(took_s=0) as (url, script):
        script.says = lambda picture: (503, b"{}") if picture == sample_jpeg() else (400, b"{}")
        said = run(tmp_path / "in", tmp_path / "out.jsonl", url, "--patience", "0.1")
        assert said.returncode == 3
        assert lines_of(tmp_path / "out.errors.jsonl") == []
        script.says = lambda picture: None if picture == sample_jpeg() else (400, b"{}")
        assert run(tmp_path / "in", tmp_path / "out.jsonl", url, "--resume").returncode == 0
    require_exactly_once(names, tmp_path / "out.jsonl")


def test_a_key_that_is_revoked_on_the_way_ends_it_in_words_and_another_goes_on(tmp_path: Path) -> None:
    names, out = mine(tmp_path / "in", 12), tmp_path / "out.jsonl"
    with scripted(took_s=0) as (url, script):
        script.says = lambda _: (
            None if sum(script.statuses.values()) <= 5 else (401, b'{"detail":"this key"}')
        )
        ended = run(tmp_path / "in", out, url)
        assert ended.returncode == 4
        assert "this key" in ended.stderr
        assert "5 pictures answered" in ended.stdout
        assert "--resume" in ended.stdout
        script.says = lambda _: None
        assert run(tmp_path / "in", out, url, "--resume").returncode == 0
    require_exactly_once(names, out)


def test_a_backend_that_has_moved_is_named(tmp_path: Path) -> None:
    mine(tmp_path / "in")
    with scripted(took_s=0) as (url, script):
        script.says = lambda _: (308, b"")
        ended = run(tmp_path / "in", tmp_path / "out.jsonl", url)
    assert ended.returncode != 0
    assert "https://elsewhere.example/" in ended.stderr


def test_words_that_nothing_was_told_of_bind_nobody(tmp_path: Path) -> None:
    """A detector that there is not is mended by its name alone."""
    names, out = mine(tmp_path / "in"), tmp_path / "out.jsonl"
    with scripted(took_s=0) as (url, script):
        script.says = lambda _: (422, b'{"detail":"no such detector"}')
        assert run(tmp_path / "in", out, url, "--resume", "--detector", "yolo62").returncode == 4
        script.says = lambda _: None
        assert run(tmp_path / "in", out, url, "--resume", "--detector", "yolo26").returncode == 0
    require_exactly_once(names, out)


# --- files in odd places ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/", ".", ""])
def test_what_is_no_name_of_a_file_is_a_wrong_word(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["batch", "in", "--out", name])
    assert ended.value.code == 2
    assert "name of a file" in capsys.readouterr().err


def made(at: Path, kind: str) -> None:
    {
        "itself": lambda: at.symlink_to(at.name), "pipe": lambda: os.mkfifo(at), "folder": at.mkdir,
    }[kind]()  # fmt: skip


@pytest.mark.parametrize("kind", ["itself", "pipe", "folder"])
def test_results_that_cannot_be_a_file_are_told_and_nobody_waits_for_a_reader(
    tmp_path: Path, kind: str
) -> None:
    mine(tmp_path / "in", 1)
    made(tmp_path / "out.jsonl", kind)
    for words in ((), ("--resume",)):
        ended = run(tmp_path / "in", tmp_path / "out.jsonl", f"http://{NOBODY}", *words)
        assert ended.returncode == 1
        assert "out.jsonl" in ended.stderr


@pytest.mark.parametrize("errors", ["out.jsonl", "in/../out.jsonl", "out.jsonl.batch"])
def test_errors_are_kept_apart_from_results_and_from_notes(tmp_path: Path, errors: str) -> None:
    mine(tmp_path / "in", 1)
    words = ("--resume", "--errors", str(tmp_path / errors))
    ended = run(tmp_path / "in", tmp_path / "out.jsonl", f"http://{NOBODY}", *words)
    assert ended.returncode == 1
    assert "another file" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_results_that_differ_in_their_ending_alone_share_no_errors(tmp_path: Path) -> None:
    names = mine(tmp_path / "in")
    with scripted(took_s=0) as (url, _):
        for part in range(2):
            ended = run(tmp_path / "in", tmp_path / f"part.{part}", url, "--shard", f"{part}/2")
            assert ended.returncode == 0, ended.stderr
    assert sum(len(lines_of(tmp_path / f"part.{part}")) for part in range(2)) == len(names)


def test_a_link_to_the_results_is_no_way_round_the_lock(tmp_path: Path) -> None:
    names, out = mine(tmp_path / "in", 30), tmp_path / "out.jsonl"
    (tmp_path / "link.jsonl").symlink_to("out.jsonl")
    errors = ("--errors", str(tmp_path / "other.jsonl"), "--resume")
    with scripted(took_s=0.02) as (url, _):
        first = start(tmp_path / "in", out, url, "--concurrency", "1")
        first.until_more(out, 1)
        second = run(tmp_path / "in", tmp_path / "link.jsonl", url, *errors)
        assert first.ended()[0] == 0
    assert second.returncode == 1
    assert "another batch" in second.stderr
    require_exactly_once(names, out)


def test_a_folder_that_was_moved_is_gone_on_with_where_the_notes_say_so(tmp_path: Path) -> None:
    names, out = mine(tmp_path / "in"), tmp_path / "out.jsonl"
    with scripted(took_s=0) as (url, script):
        assert run(tmp_path / "in", out, url).returncode == 0
        (tmp_path / "in").rename(tmp_path / "moved")
        (tmp_path / "moved" / "new.jpg").write_bytes(b"x")
        ended = run(tmp_path / "moved", out, url, "--resume")
        assert ended.returncode == 1
        for notes in tmp_path.glob("*.batch"):
            notes.write_text(notes.read_text().replace(str(tmp_path / "in"), str(tmp_path / "moved")))
        assert f"{out.name}.batch" in ended.stderr
        assert run(tmp_path / "moved", out, url, "--resume").returncode == 0
        assert sum(script.statuses.values()) == len(names) + 1
    require_exactly_once({*names, b"new.jpg"}, out)


def test_results_that_somebody_edited_by_hand_come_to_one_line_each(tmp_path: Path) -> None:
    """In another order, with the line ends and the mark of Windows, empty lines, a torn letter, and no last end."""
    names, out = mine(tmp_path / "in"), tmp_path / "out.jsonl"
    with scripted(took_s=0) as (url, script):
        assert run(tmp_path / "in", out, url).returncode == 0
        one, two, *more = reversed(out.read_bytes().split(b"\n")[:-1])
        more[0] = more[0].replace(b"[]", b'["\xc3"]')
        out.write_bytes(b"\xef\xbb\xbf" + one + b"\r\n\r\n" + two + b"\n \n" + b"\n".join(more))
        assert run(tmp_path / "in", out, url, "--resume").returncode == 0
        assert sum(script.statuses.values()) == len(names) + 2
    require_exactly_once(names, out)


def test_a_key_that_no_header_carries_is_told_and_a_line_end_behind_one_is_no_part_of_it(
    tmp_path: Path,
) -> None:
    mine(tmp_path / "in", 1)
    with scripted(took_s=0) as (url, _):
        ended = run(tmp_path / "in", tmp_path / "a.jsonl", url, "--key", "schl\u00fcssel")
        assert ended.returncode == 1
        assert "the key" in ended.stderr
        assert (
            run(tmp_path / "in", tmp_path / "b.jsonl", url, "--key", "key\n", "--patience=1").returncode == 0
        )
    ended = run(tmp_path / "in", tmp_path / "c.jsonl", "http://[::1")
    assert ended.returncode == 1
    assert "no address" in ended.stderr
