"""crossfade cameras against a real backend over real sides, with real streams and video files."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import cv2
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from backend import cli
from backend.cameras.answers import Answer
from backend.cameras.asking import HttpBackend
from backend.cameras.opening import Wanted, drawn_cameras, open_cameras
from backend.cameras.player import play
from backend.cameras.playing import Noticed, Shown
from backend.stack.backend_api import BackendApi
from tests import pictures
from tests.backends import Backend, running_backend
from tests.http_servers import serving_app, until
from tests.legacy_process import legacy_process
from tests.mjpeg_camera import mjpeg_camera, number_of
from tests.rtsp_camera import rtsp_camera

PICTURE_NUMBERS = 64  # what `mjpeg_camera.number_of` counts to


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """Only legacy serves: in everything it sees one dog, where it always is."""
    with legacy_process() as legacy, running_backend(legacy=legacy, TRITON_ENABLED="false") as backend:
        yield backend


@pytest.fixture
def cameras(tmp_path, monkeypatch, capfd):
    """The command in this process: its exit status, what it said, and what it complained of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path / "var"))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main(["cameras", *map(str, words)])
        said = capfd.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def door(tmp_path):
    """A camera that always shows the same: nobody paints for it."""
    path = tmp_path / "door.jpg"
    path.write_bytes(pictures.jpeg())
    return "--source", path, "--loop"


def documents(out):
    return [json.loads(line) for line in out.splitlines()]


# --- the command, against a real backend ------------------------------------------------------------------


def test_drawn_cameras_are_played_and_a_program_reads_every_frame_with_its_ids(backend, cameras):
    status, out, err = cameras(
        "-n", 2, "--fps", 10, "--seconds", 1, "--track", "--json", "--url", backend.url
    )

    assert (status, err) == (0, "")
    *lines, end = documents(out)
    answered = [line for line in lines if line["event"] == "frame"]
    assert {line["camera"] for line in answered} == {"gate", "yard"}
    for line in answered:
        assert [found["track"] for found in line["detections"]] == [f"{line['camera']}-1"]
        assert line["served_by"]["backend"] == "legacy"
        assert line["image"] == {"width": 960, "height": 540}
    told = Counter(line["camera"] for line in answered)
    for one in end["cameras"]:
        assert one["due"] == 10
        assert one["due"] == one["sent"] + one["dropped"]
        assert one["answered"] == told[one["camera"]] == one["found"]["dog"]
        assert (one["tracks"], one["no_picture"], one["by_side"]) == (1, 0, {"legacy": one["answered"]})
        assert 0 < one["p50_ms"] <= one["p95_ms"]
    assert end["total"]["cameras"] == 2


def test_people_see_a_line_meanwhile_and_a_table_at_the_end(backend, cameras, door):
    status, out, err = cameras(*door, "-n", 2, "--fps", 10, "--frames", 5, "--url", backend.url)

    assert status == 0
    assert "2 cameras | " in err
    assert "Triton 0% | 0 failed | sees 2 dog" in err
    head, *rows = out.splitlines()
    assert head.split() == "camera due sent answered dropped failed p50 ms p95 ms by Triton found".split()  # noqa: SIM905
    assert [row.split()[:2] for row in rows] == [["door", "5"], ["door-2", "5"]]


def test_a_backend_that_was_never_reached_has_a_status_of_its_own(cameras, door):
    status, _, err = cameras(*door, "--frames", 2, "--url", "http://127.0.0.1:9")

    assert status == 3
    assert "door: away: ConnectError" in err
    assert "the backend was never reached; `crossfade up` starts it" in err


def test_frames_that_a_backend_refuses_are_no_answers(backend, cameras, door):
    status, _, err = cameras(*door, "--frames", 2, "--detector", "nobody", "--url", backend.url)

    assert status == 4
    assert "refused: There is no detector 'nobody'" in err


def test_a_stream_that_never_opens_is_no_fault_of_the_backend(backend, cameras, monkeypatch):
    status, out, err = cameras(
        "--source", "gate=http://me:secret@127.0.0.1:9/live", "--fps", 10, "--frames", 3, "--url", backend.url
    )

    assert status == 1
    assert "no camera ever gave a picture" in err
    assert "did not open as a stream" in err
    assert "secret" not in out + err


def test_ctrl_c_ends_it_with_the_table_of_what_there_was(backend, door, tmp_path):
    words = ["cameras", *map(str, door), "--url", backend.url, "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "backend.cli", *words], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "CROSSFADE_VAR": str(tmp_path)},
    ) as process:  # fmt: skip
        assert json.loads(process.stdout.readline())["event"] == "frame"
        process.send_signal(signal.SIGINT)
        rest = documents(process.stdout.read())

    assert process.returncode == 0
    assert rest[-1]["event"] == "end"
    assert rest[-1]["total"]["answered"] == len(rest)  # the first one is read already, the last is the end


# --- a backend that dies and comes back -------------------------------------------------------------------


async def test_cameras_outlive_their_backend_and_count_what_it_missed(backend):
    heard: list[Shown] = []
    stop = asyncio.Event()

    def kinds():
        return ["well" if isinstance(one.outcome, Answer) else one.outcome.kind for one in heard]

    async with HttpBackend(BackendApi(backend.url, None)) as asked:
        playing = asyncio.create_task(play(drawn_cameras(1, 10), asked, hear=heard.append, stop=stop))
        await until(lambda: kinds().count("well") >= 4, "nobody ever answered")
        backend.kill()
        await until(lambda: "away" in kinds(), "nobody noticed")
        await asyncio.to_thread(backend.start)
        back = len(heard)
        await until(lambda: "well" in kinds()[back:], "it was never back")
        stop.set()
        figures = await playing

    for one in figures:
        assert one.failed.keys() <= {"away", "busy", "unfinished"}
        assert one.failed["away"] >= 1
        assert one.due == one.sent + one.dropped
        assert one.sent == one.answered + sum(one.failed.values())


# --- a backend that is slow -------------------------------------------------------------------------------


@asynccontextmanager
async def slow_backend(took_s):
    """It speaks the API, takes its time, and knows what it held at once."""
    at_once, most = Counter(), Counter()

    async def detect(request):
        camera = request.query_params["camera"]
        body = await request.body()
        at_once[camera] += 1
        most[camera] = max(most[camera], at_once[camera])
        await asyncio.sleep(took_s)
        at_once[camera] -= 1
        size = {"width": len(body), "height": 1}
        return JSONResponse({"detections": [], "image": size, "served_by": {"backend": "triton"}})

    app = Starlette(routes=[Route("/api/detect", detect, methods=["POST"])])
    with serving_app(app) as url:
        async with HttpBackend(BackendApi(url, None)) as backend:
            yield backend, most


async def test_nothing_waits_in_memory_however_slow_the_backend_is():
    """Against a fast one: no more requests at once, no more memory, only fewer frames."""
    told, cameras = {}, drawn_cameras(2, fps=25)
    for camera in cameras:
        camera.source.prepare()
    for name, took_s in (("fast", 0.0), ("slow", 0.25)):
        async with slow_backend(took_s) as (backend, most):
            tracemalloc.start()
            figures = await play(cameras, backend, seconds=1)
            _, peak_bytes = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        told[name] = figures, peak_bytes
        assert set(most.values()) == {1}
        for one in figures:
            assert one.due == 25
            assert one.dropped == one.due - one.sent

    (fast, fast_bytes), (slow, slow_bytes) = told["fast"], told["slow"]
    a_picture = 80_000  # bytes, at least; a queue would hold some twenty of each camera
    assert sum(one.dropped for one in slow) > 30
    assert sum(one.sent for one in slow) < sum(one.sent for one in fast)
    assert slow_bytes < fast_bytes + 5 * a_picture


# --- streams ----------------------------------------------------------------------------------------------


def taken_by(heard, pictures):
    """A backend's double, that keeps the pictures it was sent."""

    class Keeping:
        async def detect(self, picture, camera):
            pictures.append(picture)
            await asyncio.sleep(0.15)
            return Answer(0.15, 64, 64, [], {"backend": "legacy"})

    return Keeping()


@pytest.mark.parametrize("camera_of", [mjpeg_camera, rtsp_camera], ids=["http", "rtsp"])
async def test_of_a_stream_the_newest_picture_is_taken_and_older_ones_are_passed_by(camera_of):
    behind: list[int] = []
    with camera_of(period_s=0.01) as camera:

        class Watching:
            async def detect(self, picture, name):
                behind.append((camera.sent[-1] - number_of(picture)) % PICTURE_NUMBERS)
                await asyncio.sleep(0.1)  # ten pictures of the camera
                return Answer(0.1, 64, 64, [], {"backend": "legacy"})

        cameras = open_cameras(Wanted(sources=(f"gate={camera.url}",), fps=20), lambda *_: None)
        [figures] = await play(cameras, Watching(), seconds=2)

    assert figures.due == 40
    assert figures.due == figures.sent + figures.dropped + figures.no_picture
    assert figures.sent >= 5
    assert sorted(behind)[len(behind) // 2] <= 5  # read in their order, the last would be a hundred behind
    assert len(camera.sent) > 5 * len(behind)


async def test_a_stream_that_is_lost_is_said_and_opened_again_and_the_other_camera_plays_on(monkeypatch):
    monkeypatch.setattr("backend.cameras.stream.FIRST_WAIT_S", 0.1)
    loop, heard, stop = asyncio.get_running_loop(), [], asyncio.Event()

    def tell(camera, words):
        loop.call_soon_threadsafe(heard.append, Noticed(camera, words))

    def shown(camera):
        return sum(isinstance(one, Shown) and one.camera == camera for one in heard)

    def words():
        return [one.words for one in heard if isinstance(one, Noticed)]

    with mjpeg_camera() as lost, mjpeg_camera() as well:
        sources = (f"gate={lost.url}", f"yard={well.url}")
        cameras = open_cameras(Wanted(sources=sources, fps=20), tell)
        playing = asyncio.create_task(play(cameras, taken_by(heard, []), hear=heard.append, stop=stop))
        await until(lambda: shown("gate") >= 2, "no picture ever came")
        lost.plugged_in = False
        await until(lambda: any("lost" in one for one in words()), "nobody noticed")
        gate, yard = shown("gate"), shown("yard")
        await until(lambda: shown("yard") >= yard + 3, "the other one was held up")
        lost.plugged_in = True
        await until(lambda: shown("gate") >= gate + 2, "it never came back")
        stop.set()
        of_gate, of_yard = await playing

    assert words() == ["lost: the stream ended; it is tried again until it is there", "is back"]
    assert of_gate.no_picture > 0
    assert of_gate.failed == of_yard.failed == {}
    assert of_gate.due == of_gate.sent + of_gate.dropped + of_gate.no_picture


# --- recordings -------------------------------------------------------------------------------------------


def video(path, frames):
    """Each frame is a grey of its own, as a camera of the tests has them."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 64))
    for number in range(frames):
        writer.write(np.full((64, 64, 3), 4 * number, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("took_s", [0.0, 0.12])
async def test_a_video_is_played_to_its_end_and_what_a_slow_backend_misses_is_passed_by(tmp_path, took_s):
    numbers: list[int] = []

    class Watching:
        async def detect(self, picture, name):
            numbers.append(number_of(picture))
            await asyncio.sleep(took_s)
            return Answer(took_s, 64, 64, [], {"backend": "legacy"})

    source = str(video(tmp_path / "gate.mp4", 30))
    [figures] = await play(open_cameras(Wanted(sources=(source,), fps=40), lambda *_: None), Watching())

    assert figures.camera == "gate"
    assert figures.due == 30
    assert figures.dropped == 30 - figures.sent
    assert numbers == sorted(numbers)
    assert numbers[-1] >= 24
    if took_s:
        assert figures.dropped >= 15
        assert max(after - before for before, after in pairwise(numbers)) >= 4


async def test_a_video_in_a_loop_begins_again(tmp_path):
    numbers: list[int] = []

    class Watching:
        async def detect(self, picture, name):
            numbers.append(number_of(picture))
            return Answer(0.0, 64, 64, [], {"backend": "legacy"})

    wanted = Wanted(sources=(str(video(tmp_path / "gate.mp4", 8)),), fps=40, loop=True)
    [figures] = await play(open_cameras(wanted, lambda *_: None), Watching(), frames=20)

    assert figures.due == 20
    assert sum(after < before for before, after in pairwise(numbers)) == 2
    assert max(numbers) <= 8
