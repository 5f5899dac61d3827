"""What the network is shown: boxes stay on their objects through every change, and the arrays hold what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ai.demo import evaluate, scoring
from ai.demo.augment import Bank, Recipe, make_batch
from ai.demo.dataset import HEIGHT, MAX_OBJECTS, NO_OBJECT, WIDTH, SceneArrays, draw_arrays
from ai.demo.scenes import draw_scene


def bank_of_rectangles(count=8):
    """Scenes that are black but for one white rectangle each."""
    random = np.random.default_rng(3)
    images = np.zeros((count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    boxes = np.zeros((count, MAX_OBJECTS, 4), dtype=np.float32)
    class_ids = np.full((count, MAX_OBJECTS), NO_OBJECT, dtype=np.int64)
    for index in range(count):
        x, y = random.integers(150, 350), random.integers(80, 180)
        width, height = random.integers(60, 140, 2)
        images[index, y : y + height, x : x + width] = 255
        boxes[index, 0], class_ids[index, 0] = (x, y, x + width, y + height), index
    return Bank.of(SceneArrays(images, boxes, class_ids), torch.device("cpu"))


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize("mosaic_share", [0.0, 1.0])
@pytest.mark.parametrize("strength", [0.35, 1.0])
def test_every_box_of_a_training_picture_holds_its_object(fit, mosaic_share, strength):
    """Inside a box it is bright; the ring around it is not, unless another object lies there."""
    torch.manual_seed(5)
    batch = make_batch(bank_of_rectangles(), 16, Recipe(fit, 320, mosaic_share, strength))
    assert len(batch.boxes) > 8
    brightness = batch.images.mean(dim=1)
    for (x, y, w, h), index in zip((batch.boxes * 320).tolist(), batch.batch_index.tolist(), strict=True):
        left, top, right, bottom = (round(v) for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        picture = brightness[index]
        inside = picture[top + 2 : bottom - 2, left + 2 : right - 2].mean()
        rest = picture.clone()
        for (ox, oy, ow, oh), other in zip(
            (batch.boxes * 320).tolist(), batch.batch_index.tolist(), strict=True
        ):
            if other == index:
                rest[
                    round(oy - oh / 2) - 2 : round(oy + oh / 2) + 2,
                    round(ox - ow / 2) - 2 : round(ox + ow / 2) + 2,
                ] = -1
        assert inside > rest[rest >= 0].mean() + 0.1


def test_pictures_are_what_a_network_takes():
    batch = make_batch(bank_of_rectangles(), 4, Recipe("letterbox", 320, 0.5, 1.0))
    assert batch.images.shape == (4, 3, 320, 320)
    assert 0 <= float(batch.images.min()) <= float(batch.images.max()) <= 1
    assert set(batch.for_ultralytics()) == {"img", "bboxes", "cls", "batch_idx"}


def test_arrays_hold_the_scenes_of_their_seeds_and_are_drawn_once(tmp_path):
    arrays = draw_arrays(3, 41, "train", tmp_path, processes=1)
    scene = draw_scene(42, "train", WIDTH, HEIGHT)
    np.testing.assert_array_equal(arrays.images[1], scene.image)
    np.testing.assert_array_equal(arrays.boxes[1, : len(scene.boxes)], scene.boxes)
    assert (arrays.class_ids[1, len(scene.boxes) :] == NO_OBJECT).all()
    written = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    again = draw_arrays(3, 41, "train", tmp_path, processes=1)
    np.testing.assert_array_equal(again.class_ids, arrays.class_ids)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == written


def test_evaluation_and_training_never_share_a_scene():
    assert len({range(first, first + 100_000) for first in evaluate.FIRST_SEED.values()}) == 2
    assert max(evaluate.FIRST_SEED.values()) + 100_000 <= 1_000_000


def test_perfect_answers_score_one_and_none_score_nothing():
    """The negative and the positive control of the mAP that the model card reports."""
    scenes = [draw_scene(seed, "heldout", 320, 180) for seed in range(6)]
    reference = scoring.coco_of([scoring.Truth(scene.boxes, scene.class_ids) for scene in scenes])
    perfect = [
        {"image_id": index, "category_id": int(category), "score": 1.0, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for index, scene in enumerate(scenes)
        for (x1, y1, x2, y2), category in zip(scene.boxes.tolist(), scene.class_ids, strict=True)
    ]
    assert scoring.score(reference, perfect).map50_95 == pytest.approx(1.0)
    assert scoring.score(reference, []).map50_95 == 0.0


@pytest.mark.timeout(400)  # thirty-two scenes through both networks, on a machine that may be busy
def test_the_committed_weights_are_the_ones_of_the_model_card():
    """A small sample of scenes scores near the committed figures: weights, code and card belong together."""
    figures = evaluate.evaluate(evaluate.Run(("yolo26", "rtdetr"), count=16, processes=2, device="cpu"))
    assert figures["yolo26"]["heldout"]["map50_95"] > 0.7
    assert figures["rtdetr"]["heldout"]["map50_95"] > 0.7
    assert figures["yolo26"]["train"]["map50_95"] > 0.7
    assert figures["rtdetr"]["train"]["map50_95"] > 0.7
