"""Drawn cameras that live, and the ids of what they see: which stay, and which do not."""

import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from ai.demo.live import LiveScene
from ai.demo.scenes import draw_scene
from backend.cameras.errors import CannotPlay
from backend.cameras.opening import drawn_cameras
from backend.cameras.tracking import Tracker
from tests.camera_parts import FPS, answer

pytestmark = pytest.mark.alone

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


def test_a_box_without_an_area_is_somebody_too():
    ids = tracked()

    assert {ids(answer([(100, 100, 100, 100)]), number / FPS)[0] for number in range(10)} == {"yard-1"}


def test_after_an_hour_without_a_frame_nobody_is_who_was_there_before():
    """A backend that was away: none of its frames reached the tracker. Ids are never used twice."""
    ids, there = tracked(), answer([(100, 10, 200, 90)])

    assert [ids(there, at_s) for at_s in (0.0, 1.9, 3600.0, 3600.2, 1e9)] == [
        ["yard-1"], ["yard-1"], ["yard-2"], ["yard-2"], ["yard-3"],
    ]  # fmt: skip


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
        drawn_cameras(1, FPS, track=True)
