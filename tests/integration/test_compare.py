"""crossfade compare over real sides: a legacy service, a real Triton, real pictures, videos and streams."""

import asyncio
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from ai.triton.repository import Options, build
from backend import cli, footage
from backend.comparing import outcome
from backend.comparing.feed import WAITING, Feed
from backend.comparing.run_folder import run_folder
from backend.comparing.tally import Tally
from backend.footage import Frame
from backend.observe.events import Compared
from backend.stack.errors import StackError
from backend.stack.journal import Journal
from backend.stack.processes import Running
from tests.legacy_process import legacy_process
from tests.mjpeg_camera import mjpeg_camera
from tests.tiny import A_CAT, SPEC, tiny_source
from tests.tritons import running_triton

pytestmark = pytest.mark.beside

A_DOG = [(8, 8, 24, 56, 0.75, 1)]  # what the legacy process sees in everything
PATIENCE_S = 60


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """Version 1 sees the dog that legacy sees, version 2 a cat."""
    folder = tmp_path_factory.mktemp("compare")
    for rows in (A_DOG, A_CAT):
        build(folder / "models", {"tiny": tiny_source(folder, rows)}, Options(), lambda _: None)
    for rows, name in ((A_DOG, "alike"), (A_CAT, "unlike")):
        source = tiny_source(folder, rows, spec_called(name))
        build(folder / "served", {name: source}, Options(), lambda _: None)
    return folder / "models"


def spec_called(name):
    return type(SPEC)(**{field: getattr(SPEC, field) for field in SPEC.__dataclass_fields__} | {"name": name})


@pytest.fixture(scope="module")
def addresses(repository) -> Iterator[list[str]]:
    with legacy_process() as legacy, running_triton(repository.parent / "served") as triton:
        yield ["--legacy-url", legacy.url, "--triton-url", triton.grpc_url]


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    """The command in this process: its exit status, what it said, and where its report lies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path / "var"))

    def run(source, *words, b="triton:alike_jpeg"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["compare", "--source", str(source), "--out", "out", "--b", b, *words])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def report_in(folder):
    return json.loads((folder / "out" / "report.json").read_text())


def pixels(side):
    return np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)


def pictures(folder, count, cameras=2):
    """Of changing sizes, so that legacy's boxes change from one to the next."""
    for number in range(count):
        place = folder / f"camera{number % cameras}" / f"{number:04}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), pixels(64 + 16 * (number // cameras % 3)))
    return folder


# --- over sides that run ----------------------------------------------------------------------------------


def test_two_sides_that_see_the_same_agree_and_every_picture_proves_it(compare, addresses, tmp_path):
    status, out, err = compare(pictures(tmp_path / "footage", 40), *addresses, "--tolerance", "0.2")

    assert status == 0, err
    assert out.startswith("They agree: Triton alike_jpeg sees otherwise than legacy in at most ")
    report = report_in(tmp_path)
    assert report["disagreement"]["samples"] == report["pairs"]["same"] == 40
    assert {one["name"]: one["evidence"] for one in report["coverage"]["camera"]} == {
        "camera0": 20,
        "camera1": 20,
    }
    assert report["latency"]["legacy"]["count"] == report["latency"]["triton"]["count"] == 40
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    assert "40 of 40 pictures" in err


def test_two_sides_that_differ_are_told_apart_by_the_exit_status_and_shown(compare, addresses, tmp_path):
    status, out, _ = compare(pictures(tmp_path / "footage", 30), *addresses, b="triton:unlike_jpeg")

    assert status == 1
    assert out.startswith("They differ: ")
    assert "missed dog" in out
    assert "extra cat" in out
    report = report_in(tmp_path)
    assert report["disagreement"]["rate"] == 1.0
    assert len(report["worst"]) == 12
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/jpeg") == 12


def test_few_pictures_neither_accuse_nor_acquit(compare, addresses, tmp_path):
    status, out, _ = compare(pictures(tmp_path / "footage", 4), *addresses)

    assert status == 0
    assert out.startswith("They agree as far as 4 samples can tell")


def test_the_report_comes_as_json_where_it_is_asked_for(compare, addresses, tmp_path):
    _, out, _ = compare(pictures(tmp_path / "footage", 4), *addresses, "--json", "--frames", "3")

    assert json.loads(out) == report_in(tmp_path)
    assert sum(json.loads(out)["pairs"].values()) == 3


def test_a_camera_that_stands_still_is_one_sample(compare, addresses, tmp_path):
    folder = tmp_path / "footage"
    folder.mkdir()
    for number in range(20):
        cv2.imwrite(str(folder / f"{number}.png"), pixels(64))
    compare(folder, *addresses)

    report = report_in(tmp_path)
    assert report["pairs"]["same"] == 20
    assert report["disagreement"]["samples"] == 1
    assert report["coverage"]["camera"][0]["name"] == "footage"


def test_what_no_side_can_read_is_left_out_and_told(compare, addresses, tmp_path):
    folder = pictures(tmp_path / "footage", 6)
    (folder / "camera0" / "broken.jpg").write_bytes(b"no picture")
    status, out, _ = compare(folder, *addresses)

    assert status == 0
    assert "6 compared; 1 that neither side can read" in out


def test_a_video_is_compared_frame_by_frame_or_every_nth(compare, addresses, tmp_path):
    film = cv2.VideoWriter(str(tmp_path / "gate.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (96, 64))
    for number in range(20):
        film.write(np.full((64, 96, 3), 12 * number, np.uint8))
    film.release()
    status, _, _ = compare(tmp_path / "gate.avi", *addresses, "--every", "3")

    assert status == 0
    report = report_in(tmp_path)
    assert report["pairs"]["same"] == 7
    assert report["coverage"]["camera"][0]["name"] == "gate"


# --- what cannot be compared ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("empty", "holds no JPEG, PNG or WebP pictures"),
        ("nowhere", "there is no such folder or file"),
        ("notes.txt", "cannot be read as a video"),
    ],
)
def test_a_source_that_is_none_is_a_sentence_before_anything_is_started(compare, tmp_path, source, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no video")
    status, _, err = compare(tmp_path / source)

    assert status == 2
    assert words in err
    assert not (tmp_path / "var" / "compare").exists()


@pytest.mark.parametrize("side", ["tritn", "triton:", "triton:a/b", "triton:../x", "triton:a/0"])
def test_a_side_that_is_none_is_a_sentence(compare, tmp_path, side):
    status, _, err = compare(pictures(tmp_path / "footage", 1), b=side)

    assert status == 2
    assert "legacy, triton, triton:MODEL or triton:MODEL/VERSION" in err


def test_a_side_is_not_compared_with_itself(compare, tmp_path):
    assert compare(pictures(tmp_path / "footage", 1), b="legacy")[0] == 2


@pytest.mark.parametrize("a", ["triton:tiny_jpeg", "triton:tiny_jpeg/2"])
def test_a_version_is_not_compared_with_itself_under_another_name(
    compare, repository, tmp_path, monkeypatch, a
):
    monkeypatch.setenv("TRITON_REPOSITORY", str(repository))
    b = "triton:tiny_jpeg/2" if a == "triton:tiny_jpeg" else "triton:tiny_jpeg"
    status, _, err = compare(pictures(tmp_path / "footage", 1), "--a", a, b=b)

    assert status == 2
    assert "are both version 2 of tiny_jpeg: there is nothing to compare" in err
    assert "starts" not in err


def test_nor_on_somebody_elses_triton(compare, addresses, tmp_path):
    words = [*addresses, "--a", "triton:alike_jpeg"]
    status, _, err = compare(pictures(tmp_path / "footage", 4), *words, b="triton:alike_jpeg/1")

    assert status == 2
    assert "are both version 1 of alike_jpeg" in err


def test_a_side_that_is_not_there_ends_it_after_a_few_pictures(compare, addresses, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        triton = f"127.0.0.1:{nobody.getsockname()[1]}"
        words = [*addresses[:2], "--triton-url", triton]
        status, _, err = compare(pictures(tmp_path / "footage", 40), *words)

    assert status == 2
    assert "Triton alike_jpeg gave no answer to 10 pictures in a row" in err


def test_a_version_that_a_foreign_triton_does_not_serve_is_not_passed_off_as_another(
    compare, addresses, tmp_path
):
    status, _, err = compare(pictures(tmp_path / "footage", 40), *addresses, b="triton:alike_jpeg/7")

    assert status == 2
    assert "answers with version 1, not 7" in err


def test_a_stream_that_never_answers_is_given_up(compare, addresses, tmp_path, monkeypatch):
    monkeypatch.setattr(footage, "STREAM_PATIENCE_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://user:secret@127.0.0.1:{silent.getsockname()[1]}/stream"
        status, _, err = compare(url, *addresses)

    assert status == 2
    assert "did not open as a stream within 1 s" in err
    assert "secret" not in err


# --- where the report lies --------------------------------------------------------------------------------


def test_an_out_that_cannot_be_written_to_is_found_before_anything_is_started(compare, tmp_path):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "odd" / "report.html").mkdir(parents=True)
    for out in ("/proc", tmp_path / "taken", tmp_path / "odd"):
        status, told, err = compare(pictures(tmp_path / "footage", 1), "--out", str(out))
        assert (status, told) == (2, "")
        assert f"--out {out} cannot be written to" in err
    assert not (tmp_path / "var" / "compare").exists()


@pytest.mark.parametrize("as_json", [True, False])
def test_what_was_found_is_told_though_the_disk_is_full_at_the_end(
    compare, addresses, tmp_path, monkeypatch, as_json
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(outcome, "replace_with", full)
    words = ["--json"] if as_json else []
    status, out, err = compare(pictures(tmp_path / "footage", 4), *addresses, *words)

    assert status == 2
    assert "the report cannot be written" in err
    assert "report.html" not in out, "there is none"
    sentence = json.loads(out)["verdict"]["sentence"] if as_json else out
    assert sentence.startswith("They agree as far as 4 samples can tell")


def test_the_report_is_for_this_user_only(compare, addresses, tmp_path):
    compare(pictures(tmp_path / "footage", 2), *addresses)

    for name in ("report.html", "report.json"):
        assert stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) == 0o600


def test_a_file_whose_name_is_no_text_does_not_cost_the_report(compare, addresses, tmp_path):
    folder = pictures(tmp_path / "footage", 2)
    odd = folder / os.fsdecode(b"door\xff")
    (folder / "camera0").rename(odd)
    status, _, err = compare(folder, *addresses)

    assert status == 0, err
    assert "door" in (tmp_path / "out" / "report.html").read_text()


# --- streams, signals, services of its own ----------------------------------------------------------------


@contextmanager
def started(tmp_path, *words, **variables) -> Iterator[subprocess.Popen]:
    """The command as a user has it, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "compare", "--out", str(tmp_path / "out"), *map(str, words)],
        env={**os.environ, "CROSSFADE_VAR": str(tmp_path / "var"), **variables}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(holds, why):
    ends_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_at, why
        time.sleep(0.02)


def of_this(var):
    """The processes that were started with a folder below this `var`, other than the command itself."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        told = " ".join(process.info["cmdline"] or []) + str(
            (process.info["environ"] or {}).get("CROSSFADE_VAR", "")
        )
        if str(var) in told and "backend.cli" not in told:
            found.append(process.pid)
    return found


def test_a_stream_ends_by_ctrl_c_with_the_report_of_what_there_is(addresses, tmp_path):
    with (
        mjpeg_camera() as camera,
        started(tmp_path, "--source", camera.url, "--b", "triton:alike_jpeg", *addresses) as run,
    ):
        until(lambda: len(camera.sent) > 100, "the stream was never read")
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=PATIENCE_S)

    assert run.returncode == 0, err
    report = report_in(tmp_path)
    assert "stopped before the end" in report["about"]["frames"]
    assert 0 < report["pairs"]["same"] < 1000
    assert out.startswith("They agree")


def test_two_versions_of_a_model_are_compared_on_a_triton_of_its_own_that_ends_with_it(repository, tmp_path):
    source = pictures(tmp_path / "footage", 20)
    before = sorted(path.name for path in repository.rglob("*"))
    words = ("--source", source, "--a", "triton:tiny_jpeg/1", "--b", "triton:tiny_jpeg/2")
    with started(tmp_path, *words, TRITON_REPOSITORY=str(repository)) as run:
        _, err = run.communicate(timeout=PATIENCE_S)

    assert run.returncode == 1, err
    report = report_in(tmp_path)
    assert report["names"] == {"legacy": "Triton tiny_jpeg version 1", "triton": "Triton tiny_jpeg version 2"}
    assert [one["name"] for one in report["versions"]] == ["2"]
    assert report["pairs"] == {"different": 20}
    assert of_this(tmp_path / "var") == []
    assert list((tmp_path / "var" / "compare").iterdir()) == []
    assert sorted(path.name for path in repository.rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_ends_what_it_started(repository, tmp_path, number):
    source = pictures(tmp_path / "footage", 2)
    words = ("--source", source, "--b", "triton:tiny_jpeg")
    with started(tmp_path, *words, TRITON_REPOSITORY=str(repository)) as run:
        until(
            lambda: len(of_this(tmp_path / "var")) >= 4,
            "guard, legacy, Triton's supervisor, Triton: not all came",
        )
        run.send_signal(number)
        run.wait(PATIENCE_S)

    assert run.returncode == (130 if number == signal.SIGTERM else -number)
    until(lambda: not of_this(tmp_path / "var"), "something was left behind")


def test_what_a_killed_comparison_left_is_swept_by_the_next_and_nothing_of_a_live_one(tmp_path):
    above = tmp_path / "compare"
    for number in range(2):
        (above / f"run-left{number}" / "log").mkdir(parents=True)
    with run_folder(above) as live:
        assert sorted(above.iterdir()) == [live]
        with run_folder(above) as second:
            assert set(above.iterdir()) == {live, second}
    assert list(above.iterdir()) == []
    with pytest.raises(StackError), run_folder(above) as failed:
        raise StackError("could not start")
    assert failed.exists(), "its log is in it"
    with run_folder(above):
        assert not failed.exists()


def test_what_a_killed_comparison_started_is_ended_by_its_guard_before_its_folder_is_swept(tmp_path):
    folder = tmp_path / "compare" / "run-killed"
    (folder / "run").mkdir(parents=True)
    sleeper = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    try:
        born = Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19]
        Journal(folder).remember([Running("triton", "", sleeper.pid, born, "", 1.0, 0, 1)])
        with run_folder(tmp_path / "compare"):
            assert folder.exists()
    finally:
        sleeper.kill()
        sleeper.wait()
    with run_folder(tmp_path / "compare"):
        assert not folder.exists()


def test_a_build_ends_with_the_command_that_was_killed(tmp_path):
    """Models are built in a process that the guard knows."""
    source, models = pictures(tmp_path / "footage", 2), tmp_path / "models"
    with started(tmp_path, "--source", source, TRITON_REPOSITORY=str(models)) as run:
        until(lambda: builds(tmp_path), "the build never started")
        (build,) = builds(tmp_path)
        os.kill(build, signal.SIGSTOP)  # it does not get done meanwhile
        run.kill()
        run.wait(PATIENCE_S)
        os.kill(build, signal.SIGCONT)
    until(lambda: not builds(tmp_path), "the build runs on")
    assert not list(models.rglob("config.pbtxt")), "it was not ended, it was done"


def builds(var):
    return [
        one.pid
        for one in psutil.process_iter(["cmdline", "environ"])
        if "ai.triton.models" in (one.info["cmdline"] or []) and str(var) in str(one.info["environ"])
    ]


# --- pieces -----------------------------------------------------------------------------------------------


class Endless:
    name, count = "endless", None

    def __init__(self):
        self.made = 0

    def frames(self, has_room):
        while True:
            self.made += 1
            yield Frame(self.made, "a", b"")


async def test_however_slow_the_sides_are_only_a_few_pictures_wait():
    source = Endless()
    feed = Feed(source)
    taken = 0
    async for _ in feed.frames():
        taken += 1
        await asyncio.sleep(0.02)
        assert source.made - taken <= WAITING + 2
        if taken == 20:
            feed.stop()
    await feed.close()
    assert feed.was_stopped


def test_legacys_own_noise_is_no_evidence_against_triton():
    """Legacy disagrees with itself as often as Triton does with it."""
    noisy, honest = Tally("yolo26", 0.01), Tally("yolo26", 0.01)
    for number in range(200):
        noisy.judged(Compared("yolo26", "different", evidence=(-1) ** number))
        honest.judged(Compared("yolo26", "different", evidence=1))

    assert noisy.answer.ill < noisy.answer.ill_at < honest.answer.ill
