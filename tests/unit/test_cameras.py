"""Cameras that are played: when frames fall due, what is dropped, what is counted."""

import asyncio
import time

import cv2
import numpy as np
import pytest

from backend.cameras.answers import Failure
from backend.cameras.backoff import FIRST_S, MOST_ASKED_S, MOST_S, Backoff
from backend.cameras.durations import Durations
from backend.cameras.opening import Camera
from backend.cameras.player import play
from backend.cameras.playing import Noticed
from backend.cameras.schedule import Schedule
from backend.cameras.sources import PlayedVideo
from backend.footage import NoFootage
from tests.camera_parts import FPS, Answering, Pictures

# --- when -------------------------------------------------------------------------------------------------


def test_the_frames_of_n_cameras_fall_due_one_after_the_other_not_all_at_once():
    schedules = [Schedule.shifted(100.0, FPS, place, 4) for place in range(4)]

    first = [schedule.due_at(0) for schedule in schedules]

    assert first == pytest.approx([100.0, 100.05, 100.10, 100.15])
    assert schedules[3].due_at(0) < schedules[0].due_at(1)


def test_a_frame_falls_due_at_its_time_and_not_before():
    schedule = Schedule(100.0, FPS)

    assert [schedule.latest_at(at) for at in (99.9, 100.0, 100.19, 100.6, 103.0)] == [-1, 0, 0, 3, 15]
    assert all(schedule.latest_at(schedule.due_at(number)) == number for number in range(1000))


def test_a_backend_that_names_a_time_is_left_alone_as_long_and_no_longer_than_half_a_minute():
    backoff = Backoff()

    backoff.turned_away(100.0, 3.0)
    assert [backoff.holds(at) for at in (100.0, 102.9, 103.0)] == [True, True, False]
    backoff.turned_away(200.0, 86_400.0)
    assert [backoff.holds(200 + MOST_ASKED_S - 0.1), backoff.holds(200 + MOST_ASKED_S)] == [True, False]


def test_a_backend_that_names_none_is_tried_more_and_more_seldom_until_it_answers():
    backoff, waits = Backoff(), []
    for _ in range(7):
        backoff.turned_away(0.0)
        waits.append(next(wait for wait in np.arange(0.0, 10.0, 0.125) if not backoff.holds(wait)))

    assert waits == [FIRST_S, 0.5, 1.0, 2.0, MOST_S, MOST_S, MOST_S]
    backoff.answered()
    assert not backoff.holds(0.0)
    backoff.turned_away(0.0)
    assert not backoff.holds(FIRST_S)


# --- how long ---------------------------------------------------------------------------------------------


def test_percentiles_are_right_to_one_percent_in_memory_that_does_not_grow():
    took = np.random.default_rng(1).lognormal(-3, 1, 20_000)
    durations = Durations()
    for one in took:
        durations.add(float(one))

    for share in (0.5, 0.95, 1.0):
        assert durations.percentile_s(share) == pytest.approx(
            np.quantile(took, share, method="inverted_cdf"), rel=0.01
        )
    assert len(durations._counts) < 1500
    assert Durations().percentile_s(0.5) is None


# --- what is dropped --------------------------------------------------------------------------------------


async def test_a_slow_backend_costs_frames_and_a_fast_one_does_not():
    """Each frame that was due was sent or dropped; a picture is taken from the camera only to be sent."""
    told = {}
    for name, took_s in (("slow", 0.1), ("fast", 0.0)):
        source, backend = Pictures(), Answering(took_s)
        [figures] = await play([Camera("gate", source, 50)], backend, seconds=0.6)
        told[name] = figures
        assert figures.due == 30
        assert figures.sent == figures.answered == len(source.taken) == len(backend.asked)
        assert figures.dropped == figures.due - figures.sent
        assert backend.most_at_once == 1
        assert source.closed

    assert told["slow"].sent < told["fast"].sent / 2
    assert told["slow"].dropped > 15 > told["fast"].dropped


async def test_a_slow_backend_holds_up_only_the_camera_that_it_is_slow_for():
    class SlowForOne(Answering):
        async def detect(self, picture, camera):
            self.took_s = 0.3 if camera == "gate" else 0.0
            return await super().detect(picture, camera)

    gate, yard = await play(
        [Camera("gate", Pictures(), 30), Camera("yard", Pictures(), 30)], SlowForOne(), seconds=0.6
    )

    assert gate.dropped > 10 > yard.dropped
    assert yard.answered > 3 * gate.answered


async def test_of_frames_that_fell_due_while_this_process_stood_still_the_newest_is_sent_and_no_burst():
    def stand_still(event):
        if event.number == 0:
            time.sleep(0.25)  # the whole event loop

    source = Pictures()
    [figures] = await play([Camera("gate", source, 40)], Answering(), frames=20, hear=stand_still)

    assert figures.due == 20
    assert source.taken[0] == 0
    assert source.taken[1] >= 8
    assert figures.dropped == 20 - figures.sent >= 7


async def test_what_is_recorded_ends_and_has_no_more_frames_due_than_it_has():
    heard = []
    source = Pictures(count=10)
    [figures] = await play([Camera("gate", source, 50)], Answering(0.07), seconds=60, hear=heard.append)

    assert figures.due == 10
    assert figures.sent + figures.dropped == 10
    assert figures.dropped > 0
    assert [event.words for event in heard if isinstance(event, Noticed)] == ["over after 10 frames"]


async def test_a_camera_without_a_picture_is_no_backend_that_failed():
    [figures] = await play([Camera("gate", Pictures(missing={2, 3}), 50)], Answering(), frames=8)

    assert (figures.due, figures.no_picture, figures.failed) == (8, 2, {})
    assert figures.due == figures.sent + figures.dropped + figures.no_picture


async def test_a_picture_that_cannot_be_read_is_said_and_the_next_is_played():
    class Spoilt(Pictures):
        def picture(self, number, at_s):
            if number == 1:
                raise NoFootage("1.jpg cannot be read")
            return super().picture(number, at_s)

    heard = []
    [figures] = await play([Camera("gate", Spoilt(), 50)], Answering(), frames=5, hear=heard.append)

    assert figures.no_picture == 1
    assert figures.sent + figures.dropped == 4
    assert Noticed("gate", "1.jpg cannot be read") in heard


@pytest.mark.parametrize("kind", ["away", "busy", "late", "refused", "odd"])
async def test_a_failure_is_counted_by_its_kind_and_the_loop_goes_on(kind, monkeypatch):
    monkeypatch.setattr("backend.cameras.backoff.FIRST_S", 0.02)
    source, backend = Pictures(), Answering(outcome=Failure(kind, 0.01, "planned"))
    [figures] = await play([Camera("gate", source, 100)], backend, frames=30)

    assert figures.answered == 0
    assert figures.failed == {kind: figures.sent}
    assert figures.sent >= 2
    assert figures.due == 30


async def test_a_backend_that_asks_for_time_is_not_asked_until_it_has_passed():
    """Control: one that is merely late is asked again at once."""
    asked = {}
    for failure in (Failure("busy", 0.0, "full", 503, 0.3), Failure("late", 0.0, "slow", 504)):
        backend = Answering(outcome=failure)
        [figures] = await play([Camera("gate", Pictures(), 50)], backend, frames=20)
        asked[failure.kind] = len(backend.asked)
        assert figures.dropped == 20 - len(backend.asked)

    assert asked["busy"] <= 2
    assert asked["late"] > 10


async def test_one_that_is_told_to_stop_waits_a_moment_for_what_is_under_way_and_no_longer(monkeypatch):
    monkeypatch.setattr("backend.cameras.playing.GRACE_S", 0.2)
    source, stop = Pictures(), asyncio.Event()
    heard = []

    def hear(event):
        heard.append(event)

    asyncio.get_running_loop().call_later(0.1, stop.set)
    [figures] = await play([Camera("gate", source, 20)], Answering(60.0), hear=hear, stop=stop)

    assert figures.failed == {"unfinished": 1}
    assert figures.sent == 1
    assert source.closed


async def test_one_that_is_told_to_stop_while_its_last_answer_is_awaited_does_not_wait_for_it(monkeypatch):
    monkeypatch.setattr("backend.cameras.playing.GRACE_S", 0.1)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stop.set)
    async with asyncio.timeout(10):  # the answer takes a minute
        [figures] = await play([Camera("gate", Pictures(), 20)], Answering(60.0), frames=1, stop=stop)

    assert figures.failed == {"unfinished": 1}


async def test_one_that_is_told_to_stop_while_the_cameras_are_painted_paints_no_more():
    stop, painted = asyncio.Event(), []

    class Painted(Pictures):
        def prepare(self):
            painted.append(self)
            loop.call_soon_threadsafe(stop.set)
            while not stop.is_set():
                time.sleep(0.001)

    loop = asyncio.get_running_loop()
    figures = await play([Camera(name, Painted(), 20) for name in "abc"], Answering(), stop=stop)

    assert len(painted) == 1
    assert [one.due for one in figures] == [0, 0, 0]


async def test_what_is_wrong_with_a_camera_of_ours_is_raised_and_not_swallowed():
    class Broken(Pictures):
        def picture(self, number, at_s):
            raise ZeroDivisionError

    source = Broken()
    with pytest.raises(ExceptionGroup) as raised:
        await play([Camera("gate", source, 50)], Answering())

    assert raised.group_contains(ZeroDivisionError)
    assert source.closed


async def test_a_video_that_is_taken_away_between_two_rounds_is_missed_and_found_again(tmp_path):
    path, aside = tmp_path / "gate.avi", tmp_path / "aside"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for _ in range(3):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    source = PlayedVideo(path, loop=True)
    first = [source.picture(number, 0.0) for number in range(3)]
    path.rename(aside)

    for number in (3, 4):
        with pytest.raises(NoFootage, match="cannot be read any more"):
            source.picture(number, 0.0)
    aside.rename(path)

    assert [source.picture(number, 0.0) for number in (5, 6)] == first[2:] + first[:1]
