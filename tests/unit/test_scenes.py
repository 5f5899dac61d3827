"""What the synthetic scenes promise to those who train and test on them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from ai.demo.figures import POSES, STYLES
from ai.demo.planning import PLACES, WEATHERS
from ai.demo.plans import Mood
from ai.demo.scenes import CLASS_IDS, Scene, ScenePlan, Split, draw_scene, plan_scene, render

ROOT = Path(__file__).resolve().parents[2]
SPLITS: tuple[Split, ...] = ("train", "heldout")
KINDS_BY_ID = {number: kind for kind, number in CLASS_IDS.items()}


def digest(scene: Scene) -> str:
    data = scene.image.tobytes() + scene.boxes.tobytes() + scene.class_ids.tobytes()
    return hashlib.sha256(data).hexdigest()


def quiet(plan: ScenePlan) -> ScenePlan:
    """The same scene through a perfect camera in still, shadowless air."""
    calm: Mood = replace(plan.mood, power=0.0, noise=0.0, blur=0.0, motion=0.0, jpeg=100, haze=0.0)
    return replace(plan, mood=calm, weather="clear", light="day")


@lru_cache(maxsize=4)
def drawn(split: Split, count: int) -> tuple[Scene, ...]:
    return tuple(draw_scene(seed, split, 320, 180) for seed in range(count))


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_arguments_draw_the_same_scene(split: Split) -> None:
    """A scene is a function of its seed, split and size."""
    assert digest(draw_scene(5, split, 480, 270)) == digest(draw_scene(5, split, 480, 270))
    assert plan_scene(5, split) == plan_scene(5, split)


def test_another_process_draws_the_same_scene() -> None:
    """Nothing in the picture depends on the process that paints it."""
    code = (
        "import hashlib; from ai.demo.scenes import draw_scene; s = draw_scene(11, 'train', 480, 270);"
        "print(hashlib.sha256(s.image.tobytes() + s.boxes.tobytes() + s.class_ids.tobytes()).hexdigest())"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest(draw_scene(11, "train", 480, 270))


def test_seeds_and_splits_draw_different_scenes() -> None:
    """Neither the seed nor the split is ignored."""
    scenes = [draw_scene(seed, split, 320, 180) for seed in (1, 2) for split in SPLITS]
    assert len({digest(scene) for scene in scenes}) == len(scenes)


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (480, 640), (400, 400)])
@pytest.mark.parametrize("split", SPLITS)
def test_boxes_are_valid_at_every_size(split: Split, size: tuple[int, int]) -> None:
    """Boxes lie in the picture, have an area, and are not smaller than what a detector could use."""
    width, height = size
    smallest = 10 * (width * height / (640 * 360)) ** 0.5
    for seed in range(12):
        scene = draw_scene(seed, split, width, height)
        assert scene.image.shape == (height, width, 3)
        assert scene.image.dtype == np.uint8
        assert scene.boxes.shape == (len(scene.class_ids), 4)
        assert scene.boxes.dtype == np.float32
        x1, y1, x2, y2 = scene.boxes.T
        assert min(x1.min(initial=0), y1.min(initial=0)) >= 0
        assert x2.max(initial=0) <= width
        assert y2.max(initial=0) <= height
        assert (np.minimum(x2 - x1, y2 - y1) > 0).all()
        assert (np.maximum(x2 - x1, y2 - y1) >= smallest).all()
        assert [CLASS_IDS[a.kind] for a in scene.plan.actors] == scene.class_ids.tolist()


def test_a_large_portrait_and_a_large_landscape_can_be_drawn() -> None:
    """The plan is in metres and fractions: no size is special."""
    for width, height in ((1920, 1080), (1080, 1920)):
        assert draw_scene(4, "train", width, height).image.shape == (height, width, 3)


@pytest.mark.parametrize("split", SPLITS)
def test_a_box_is_the_exact_extent_of_what_is_seen(split: Split) -> None:
    """Taking an object away changes the picture in its whole box, and, shadow aside, nowhere else."""
    checked = 0
    for seed in range(28):
        plan = render(quiet(plan_scene(seed, split, 480, 270))).plan
        if len(plan.actors) != 1:
            continue
        scene = render(plan)
        without = render(replace(plan, actors=()))
        change = np.abs(scene.image.astype(int) - without.image.astype(int)).max(axis=2)
        left, top, right, bottom = scene.boxes[0].astype(int)
        assert (change[top:bottom, left:right].max(axis=1) > 2).mean() > 0.9
        assert (change[top:bottom, left:right].max(axis=0) > 2).mean() > 0.9
        # Above the feet no shadow falls far: beyond a pixel of soft edge, nothing may change.
        outside = change.copy()
        outside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 0
        middle = top + (bottom - top) // 2
        assert (outside[:middle] > 40).mean() < 0.001
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize("split", SPLITS)
def test_rendering_what_was_kept_changes_nothing(split: Split) -> None:
    """The plan that a scene returns is the scene: what was left out left no trace."""
    for seed in range(12):
        scene = draw_scene(seed, split, 320, 180)
        again = render(scene.plan)
        assert np.array_equal(again.boxes, scene.boxes)
        assert [a.kind for a in again.plan.actors] == [a.kind for a in scene.plan.actors]


def test_an_actor_moves_without_moving_the_place() -> None:
    """A live camera animates actors against a place that stays."""
    plan = next(
        p for p in (quiet(plan_scene(s, "train", 480, 270)) for s in range(60)) if len(render(p).boxes) == 1
    )
    scene = render(plan)
    moved = render(
        replace(scene.plan, actors=(replace(scene.plan.actors[0], x=scene.plan.actors[0].x + 0.4),))
    )
    assert len(moved.boxes) == 1
    assert moved.boxes[0, 0] > scene.boxes[0, 0]
    change = np.abs(moved.image.astype(int) - scene.image.astype(int)).max(axis=2)
    assert (change > 20).mean() < 0.35


@pytest.mark.parametrize("split", SPLITS)
def test_every_class_and_the_empty_scene_appear(split: Split) -> None:
    """Nobody has to draw thousands of scenes to meet every class, or none."""
    scenes = drawn(split, 80)
    counts = Counter(KINDS_BY_ID[int(i)] for scene in scenes for i in scene.class_ids)
    assert set(counts) == set(CLASS_IDS)
    assert any(len(scene.boxes) == 0 for scene in scenes)
    assert 2.4 < sum(counts.values()) / len(scenes) < 4.5
    assert 0.22 < counts["person"] / sum(counts.values()) < 0.5


def test_held_out_places_weather_and_figures_are_never_trained_on() -> None:
    """Held-out means held out: only clear weather is shared."""
    assert not set(PLACES["train"]) & set(PLACES["heldout"])
    assert set(WEATHERS["train"]) & set(WEATHERS["heldout"]) == {"clear"}
    for kind in CLASS_IDS:
        assert not set(STYLES["train"][kind]) & set(STYLES["heldout"][kind])
    assert {"curl", "stretch"} & set(POSES["train"]["cat"]) == set()


@pytest.mark.parametrize("split", SPLITS)
def test_plans_keep_to_their_split(split: Split) -> None:
    """What is declared for a split is all that its plans use."""
    for seed in range(60):
        plan = plan_scene(seed, split)
        assert plan.place in PLACES[split]
        assert plan.weather in WEATHERS[split]
        assert all(actor.style in STYLES[split][actor.kind] for actor in plan.actors)


def test_a_frame_count_changes_only_the_noise() -> None:
    """The next frame of a still scene has the same boxes and other sensor noise."""
    plan = plan_scene(3, "train", 320, 180)
    first, second = render(plan), render(replace(plan, frame=1))
    assert np.array_equal(first.boxes, second.boxes)
    assert not np.array_equal(first.image, second.image)
