"""Cameras whose pictures come from elsewhere: real streams over real connections, and video files."""

import asyncio
from itertools import pairwise

import cv2
import numpy as np
import pytest

from backend.cameras.answers import Answer
from backend.cameras.opening import Wanted, open_cameras
from backend.cameras.player import play
from backend.cameras.playing import Noticed, Shown
from tests.http_servers import until
from tests.mjpeg_camera import mjpeg_camera, number_of
from tests.rtsp_camera import rtsp_camera

PICTURE_NUMBERS = 64  # what `mjpeg_camera.number_of` counts to

# --- streams ----------------------------------------------------------------------------------------------


class Answering:
    """A backend's double."""

    async def detect(self, picture, camera):
        await asyncio.sleep(0.15)
        return Answer(0.15, 64, 64, [], {"backend": "legacy"})


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
        [figures] = await play(cameras, Watching(), seconds=1)

    assert figures.due == 20
    assert figures.due == figures.sent + figures.dropped + figures.no_picture
    assert figures.sent >= 3
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
        playing = asyncio.create_task(play(cameras, Answering(), hear=heard.append, stop=stop))
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


async def test_that_the_end_waits_for_a_stream_that_has_stalled_is_said(monkeypatch):
    """OpenCV cannot be interrupted. Control: of one that runs nothing is said."""
    monkeypatch.setattr("backend.cameras.stream.SOON_S", 0.3)
    for period_s, said in ((0.02, []), (0.9, ["says nothing; it is let go of within 20 s"])):
        told, stop = [], asyncio.Event()
        with mjpeg_camera(period_s) as camera:
            wanted = Wanted(sources=(camera.url,), fps=20)
            cameras = open_cameras(wanted, lambda _, words, told=told: told.append(words))
            playing = asyncio.create_task(play(cameras, Answering(), stop=stop))
            await until(lambda camera=camera: len(camera.sent) >= 2, "it was never opened")
            stop.set()
            await playing
        assert told == said


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
