"""Cameras that are played: when frames fall due, what is dropped, what is counted, which ids stay."""

import asyncio
import json
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from ai.core.labels import COCO_80
from ai.demo.live import HEIGHT, WIDTH, LiveScene, camera_names
from ai.demo.scenes import draw_scene
from backend.cameras.answers import Answer, Failure
from backend.cameras.asking import HttpBackend
from backend.cameras.backoff import FIRST_S, MOST_ASKED_S, MOST_S, Backoff
from backend.cameras.durations import Durations
from backend.cameras.errors import CannotPlay, Ended
from backend.cameras.figures import Tally, Total
from backend.cameras.opening import Camera, Wanted, open_cameras
from backend.cameras.player import play
from backend.cameras.playing import Noticed, Shown
from backend.cameras.schedule import Schedule
from backend.cameras.summary import RECENT_S, Summary, headers, rows
from backend.cameras.tracking import Tracker
from backend.footage import NoFootage
from backend.stack.backend_api import BackendApi
from tests.clocks import HandClock
from tests.http_servers import hangs, hangs_up_after, raw_server, says

FPS = 5.0


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


class Pictures:
    """A source that says how many of its pictures were taken; `count` of them, or without end."""

    name = "pictures"

    def __init__(self, count=10**9, missing=()):
        self.taken, self.closed, self._count, self._missing = [], False, count, missing

    def prepare(self):
        pass

    def picture(self, number, at_s):
        if number >= self._count:
            raise Ended(self._count)
        if number in self._missing:
            return None
        self.taken.append(number)
        return b"%d" % number

    def close(self):
        self.closed = True


class Answering:
    """A backend that takes its time, and says how many requests of a camera it ever had at once."""

    def __init__(self, took_s=0.0, outcome=None):
        self.took_s, self.outcome = took_s, outcome
        self.asked, self.at_once, self.most_at_once = [], {}, 0

    async def detect(self, picture, camera):
        self.asked.append(picture)
        self.at_once[camera] = self.at_once.get(camera, 0) + 1
        self.most_at_once = max(self.most_at_once, self.at_once[camera])
        await asyncio.sleep(self.took_s)
        self.at_once[camera] -= 1
        return self.outcome or answer([])


def answer(boxes, scores=0.9, class_id=0, size=(WIDTH, HEIGHT), took_s=0.01, side="legacy"):
    found = [
        {"class": COCO_80[class_id], "class_id": class_id, "confidence": scores,
         "bbox": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}}
        for x1, y1, x2, y2 in boxes
    ]  # fmt: skip
    return Answer(took_s, *size, found, {"backend": side, "fallback_reason": None})


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


async def test_frames_that_fell_due_while_this_process_stood_still_are_dropped_not_sent_in_a_burst():
    class StandsStill(Answering):
        async def detect(self, picture, camera):
            if len(self.asked) == 1:
                time.sleep(0.25)  # the whole event loop
            return await super().detect(picture, camera)

    source, backend = Pictures(), StandsStill()
    [figures] = await play([Camera("gate", source, 40)], backend, frames=20)

    assert figures.due == 20
    assert figures.dropped >= 8
    assert figures.dropped == figures.due - figures.sent
    assert max(after - before for before, after in pairwise(source.taken)) >= 8


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


async def test_what_is_wrong_with_a_camera_of_ours_is_raised_and_not_swallowed():
    class Broken(Pictures):
        def picture(self, number, at_s):
            raise ZeroDivisionError

    source = Broken()
    with pytest.raises(ExceptionGroup) as raised:
        await play([Camera("gate", source, 50)], Answering())

    assert raised.group_contains(ZeroDivisionError)
    assert source.closed


# --- what the backend says --------------------------------------------------------------------------------


def http(status, body=b"{}", **headers):
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


WELL = json.dumps(
    {"detections": [], "image": {"width": 8, "height": 6}, "served_by": {"backend": "triton"}}
).encode()


@pytest.mark.parametrize(
    ("behaviour", "kind", "retry_after_s"),
    [
        (says(http(503, b'{"detail": "full"}', Retry_After=7)), "busy", 7.0),
        (says(http(503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT")), "busy", None),
        (says(http(429)), "busy", None),
        (says(http(504)), "late", None),
        (says(http(401)), "refused", None),
        (says(http(422)), "refused", None),
        (says(http(500)), "odd", None),
        (says(http(200, b"<html>")), "odd", None),
        (says(http(200, b"[]")), "odd", None),
        (says(http(200, b'{"detections": []}')), "odd", None),
        (
            says(http(200, WELL.replace(b'"detections": []', b'"detections": [{"class": "cat"}]'))),
            "odd",
            None,
        ),
        (hangs_up_after(b""), "away", None),
        (hangs, "late", None),
    ],
)
async def test_whatever_a_backend_answers_is_a_failure_of_a_kind_and_no_error(behaviour, kind, retry_after_s):
    async with (
        raw_server(behaviour) as server,
        HttpBackend(BackendApi(server.url, None), patience_s=0.3) as backend,
    ):
        failure = await backend.detect(b"picture", "gate")

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_after_s) == (kind, retry_after_s)


async def test_a_backend_is_asked_with_the_key_the_camera_the_detector_and_the_confidence():
    async with (
        raw_server(says(http(200, WELL))) as server,
        HttpBackend(BackendApi(server.url, "secret"), "yolo26", 0.2) as backend,
    ):
        answered = await backend.detect(b"picture", "gate & yard")

    assert isinstance(answered, Answer)
    assert answered.side == "triton"
    assert server.body == b"picture"
    head = server.head.decode()
    assert "x-api-key: secret" in head.lower()
    for word in ("detector=yolo26", "min_confidence=0.2", "camera=gate"):
        assert word in head.partition("\r\n")[0]


async def test_nobody_there_is_away():
    async with HttpBackend(BackendApi("http://127.0.0.1:9", None)) as backend:
        failure = await backend.detect(b"picture", "gate")

    assert isinstance(failure, Failure)
    assert failure.kind == "away"


# --- which cameras ----------------------------------------------------------------------------------------


def opened(*sources, **wanted):
    return [camera.name for camera in open_cameras(Wanted(sources=sources, **wanted), lambda *_: None)]


def test_as_many_drawn_cameras_as_are_wanted_each_with_a_name_of_its_own():
    assert opened() == ["gate", "yard", "road", "park"]
    assert opened(count=2) == ["gate", "yard"]
    names = camera_names(100)
    assert len(set(names)) == 100
    assert names[8:10] == ["gate-2", "yard-2"]


def test_a_folder_is_a_camera_and_one_of_folders_is_as_many(tmp_path):
    for name in ("gate", "yard"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "1.jpg").write_bytes(b"picture")

    assert opened(str(tmp_path / "all")) == ["gate", "yard"]
    assert opened(str(tmp_path / "all" / "yard")) == ["yard"]
    assert opened(str(tmp_path / "all" / "yard" / "1.jpg")) == ["1"]


def test_sources_have_the_name_that_is_given_or_their_own_and_never_the_same_twice(tmp_path):
    stream = "rtsp://me:password@10.0.0.7/live"

    assert opened(f"yard={stream}", stream, stream) == ["yard", "10.0.0.7/live", "10.0.0.7/live-2"]
    assert opened("gate=http://10.0.0.7/a?b=c") == ["gate"]
    assert opened(stream, count=3) == ["10.0.0.7/live", "10.0.0.7/live-2", "10.0.0.7/live-3"]


@pytest.mark.parametrize(
    ("sources", "count", "why"),
    [
        (("nowhere",), None, "nowhere: there is no such folder or file"),
        (("rtsp://a/1", "rtsp://a/2"), 1, "-n 1 is less than the 2 cameras"),
        ((__file__,), None, "cannot be read as a video"),
    ],
)
def test_what_cannot_be_played_is_said_before_anything_is(sources, count, why):
    with pytest.raises(CannotPlay, match=why):
        opened(*sources, count=count)


# --- drawn cameras ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes():
    return [LiveScene(index) for index in range(2)]


def test_drawn_cameras_see_different_scenes_one_of_three_by_infrared(scenes):
    day, night = (scene.frame(0.0).astype(int) for scene in scenes)

    assert [scene.is_infrared for scene in scenes] == [False, True]
    assert np.ptp(night, axis=2).mean() < 3 < np.ptp(day, axis=2).mean()
    assert abs(day - night).mean() > 10


def test_what_a_drawn_camera_sees_moves_a_little_from_frame_to_frame_and_comes_and_goes(scenes):
    seen = [{one.number: one.box for one in scenes[0].truth(number / FPS)} for number in range(200)]

    steps = [
        max(abs(after[number][side] - before[number][side]) for side in range(4))
        for before, after in pairwise(seen)
        for number in before.keys() & after.keys()
    ]
    assert 8 < max(steps) < 16
    assert len({number for one in seen for number in one}) > max(
        map(len, seen)
    )  # some are not there all the time
    assert seen[0] == {one.number: one.box for one in scenes[0].truth(520.0)}  # both ways have come round


def test_a_frame_of_a_drawn_camera_is_the_scene_at_that_moment_with_other_grain(scenes):
    scene = scenes[0]

    assert (scene.frame(3.0) == scene.frame(3.0)).all()
    assert (scene.frame(0.0) != scene.frame(520.0)).any()
    [first, *_] = scene.truth(0.0)
    x1, y1, x2, y2 = map(round, first.box)
    moved = next(one.box for one in scene.truth(5.0) if one.number == first.number)
    dx, dy = round(moved[0] - x1), round(moved[1] - y1)
    before = scene.frame(0.0)[y1:y2, x1:x2].astype(int)
    after = scene.frame(5.0)[y1 + dy : y2 + dy, x1 + dx : x2 + dx].astype(int)
    assert (dx, dy) != (0, 0)
    assert abs(before - after).mean() < 12 < abs(before - before.mean()).mean()


def test_a_frame_costs_a_tenth_of_painting_it(scenes):
    scenes[0].jpeg(0.0)
    frame_s = min(timed(lambda: scenes[0].jpeg(1.0)) for _ in range(5))
    painted_s = min(timed(lambda: draw_scene(70_000, "heldout")) for _ in range(2))

    assert frame_s < painted_s / 10


def timed(what):
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


# --- ids --------------------------------------------------------------------------------------------------


def seen_by(scene, jitter_px, missing=(), hidden=None):
    """Frames of it in the order of their time, each the objects' own numbers, and what a detector would say.

    It mixes up the order of what it finds. Of `hidden`, an object and frames, there is nothing in those.
    """
    chance = np.random.default_rng(5)
    for frame in range(200):
        if frame in missing:
            continue
        truth = [one for one in scene.truth(frame / FPS) if (one.number, frame) not in (hidden or ())]
        chance.shuffle(truth)
        boxes = [np.array(one.box) + chance.normal(0, jitter_px, 4) for one in truth]
        yield frame / FPS, [one.number for one in truth], answer([map(float, box) for box in boxes])


def switches(frames, ids_of):
    """How often an object that was in view has another id than in the frame before."""
    last, count = {}, 0
    for at_s, numbers, answered in frames:
        now = dict(zip(numbers, ids_of(answered, at_s), strict=True))
        count += sum(now[number] != last[number] for number in now.keys() & last.keys())
        last = now
    return count


def tracked(camera="yard", fps=FPS):
    return Tracker(camera, fps).ids


def by_order(answered, at_s):
    return [f"yard-{number}" for number in range(len(answered.detections))]


MOST_SWITCHES = 3  # of some thousand boxes
EVERY_THIRD = frozenset(range(0, 200, 3))


@pytest.mark.parametrize(
    "missing", [frozenset(), EVERY_THIRD], ids=["every frame", "a third of them dropped"]
)
def test_ids_stay_with_what_moves_and_ids_by_order_do_not(scenes, missing):
    for scene in scenes:
        assert switches(seen_by(scene, 2.0, missing), tracked()) <= MOST_SWITCHES
        assert not switches(seen_by(scene, 2.0, missing), by_order) <= MOST_SWITCHES  # the control


@pytest.mark.parametrize(("frames", "stays"), [(3, True), (8, True), (30, False)])
def test_an_id_survives_some_frames_behind_a_tree_and_not_for_ever(frames, stays):
    """At five frames a second: up to two seconds."""
    ids = tracked()
    for number in range(10):
        [before] = ids(answer([(100 + 6 * number, 200, 160 + 6 * number, 330)]), number / FPS)
    for number in range(10, 10 + frames):
        ids(answer([]), number / FPS)
    x = 100 + 6 * (10 + frames)
    [after] = ids(answer([(x, 200, x + 60, 330)]), (10 + frames) / FPS)

    assert (after == before) == stays


def test_an_id_survives_a_gap_in_which_nobody_answered(scenes):
    """A backend that is away for a second: no frame of it reaches the tracker."""
    gap = frozenset(range(50, 55))

    assert switches(seen_by(scenes[0], 2.0, gap), tracked()) <= MOST_SWITCHES


def test_an_id_survives_a_fallback_to_a_side_that_is_less_sure_and_calls_it_a_truck():
    ids = tracked()
    [before] = ids(answer([(100, 200, 220, 280)], 0.9, class_id=2), 0.0)
    [fallen] = ids(answer([(104, 197, 229, 284)], 0.55, class_id=7), 0.2)
    [weak] = ids(answer([(106, 199, 228, 283)], 0.2, class_id=7), 0.4)
    [after] = ids(answer([(108, 200, 228, 280)], 0.9, class_id=2), 0.6)

    assert before == fallen == weak == after == "yard-1"


def test_ids_are_small_numbers_of_each_camera_and_who_is_unsure_begins_none():
    yard, gate = tracked("yard"), tracked("gate")
    two = [(10, 10, 60, 60), (200, 10, 260, 60)]

    assert yard(answer(two), 0.0) == ["yard-1", "yard-2"]
    assert gate(answer(two), 0.0) == ["gate-1", "gate-2"]
    assert yard(answer([(700, 300, 760, 400)], 0.3), 0.2) == [None]
    assert yard(answer([]), 0.4) == []
    assert yard(answer([*two, (700, 300, 760, 400)]), 0.6) == ["yard-1", "yard-2", "yard-3"]


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (3840, 2160)])
def test_ids_are_the_same_whatever_size_the_picture_has(size):
    ids, told = tracked(), []
    for number in range(30):
        share = np.array([[0.1 + 0.02 * number, 0.3, 0.2 + 0.02 * number, 0.6]]) * [*size, *size]
        told += ids(answer(share.tolist(), size=size), number / FPS)

    assert set(told) == {"yard-1"}


def test_who_is_gone_is_forgotten():
    tracker = Tracker("yard", FPS)
    for number in range(300):  # somebody else in every frame
        x = 80 * (number % 11)
        tracker.ids(answer([(x, 10, x + 40, 60)]), number * 10.0)

    assert tracker.begun == 300
    assert len(tracker._numbers) < 5


def test_without_the_library_there_is_one_sentence_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "edgefirst.tracker", None)

    with pytest.raises(CannotPlay, match=r"pip install 'crossfade\[track\]'"):
        opened(track=True)


# --- what is shown ----------------------------------------------------------------------------------------


class Watched:
    def __init__(self, name, **counts):
        self.tally = Tally(name, FPS, **counts)


def test_the_line_says_what_is_asked_answered_dropped_failed_and_seen():
    clock = HandClock()
    gate, yard = Watched("gate", dropped=3), Watched("yard", dropped=4)
    summary = Summary([gate, yard], clock)
    assert "0.0 of 10 frames/s" in summary.line()
    for number in range(20):
        clock.sleep(0.25)
        took_s, side = (0.02, "triton") if number % 4 == 0 else (0.01, "legacy")
        summary.hear(Shown("gate", number, answer([(0, 0, 9, 9)], took_s=took_s, side=side)))
    yard.tally.count(Failure("busy", 0.0, "full"))

    assert summary.line() == (
        "2 cameras | 4.0 of 10 frames/s answered | 7 dropped | p50 10 p95 20 ms | Triton 25% | failed: 1 busy | "
        "sees 1 person"
    )
    clock.sleep(RECENT_S + 0.1)
    assert "0.0 of 10 frames/s" in summary.line()
    assert summary.line().endswith("sees nothing")


def test_the_table_has_a_row_a_camera_and_no_column_for_what_never_happened():
    tally = Tally("gate", FPS, due=9, sent=5, dropped=4)
    for outcome in [answer([(0, 0, 9, 9)])] * 3 + [Failure("busy", 0, "full"), Failure("late", 0, "slow")]:
        tally.count(outcome)
    followed = Tally("yard", FPS, due=9, no_picture=9, tracks=2)

    assert headers([tally.figures()])[5:] == ["failed", "p50 ms", "p95 ms", "by Triton", "found"]
    [row] = rows([tally.figures()])
    assert row == ["gate", "9", "5", "3", "4", "1 busy, 1 late", "10", "10", "0%", "3 person"]
    both = [tally.figures(), followed.figures()]
    assert {"no picture", "tracks"} < set(headers(both))
    assert all(len(row) == len(headers(both)) for row in rows(both))
    assert Total.of(both).document()["failed"] == {"busy": 1, "late": 1}
