"""A picture on its way into a detector, and the detector's rows on their way back, for both families."""

import numpy as np
import pytest

from ai.core.errors import InvalidDetections
from ai.rtdetr import processing as rtdetr
from ai.yolo26 import processing as yolo26

BOTH = pytest.mark.parametrize("family", [yolo26, rtdetr], ids=["yolo26", "rtdetr"])


def picture(width=960, height=540):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def rows_of(fit, boxes, scores, classes=0.0):
    table = np.zeros((300, 6), dtype=np.float32)
    table[: len(boxes), :4] = fit.forward(np.array(boxes))
    table[: len(boxes), 4] = scores
    table[: len(boxes), 5] = classes
    return table


@BOTH
def test_the_input_is_planar_uint8_and_contiguous(family):
    prepared = family.preprocess(picture())
    assert prepared.pixels.shape == (3, 640, 640)
    assert prepared.pixels.dtype == np.uint8
    assert prepared.pixels.flags["C_CONTIGUOUS"]


def test_yolo_keeps_the_proportions_and_rtdetr_fills_the_input():
    assert yolo26.preprocess(picture()).fit.inner_height == 360
    assert rtdetr.preprocess(picture()).fit.inner_height == 640


@BOTH
def test_boxes_come_back_in_pixels_of_the_picture(family):
    prepared = family.preprocess(picture())
    boxes = [[100.5, 50.25, 300, 400], [0, 0, 960, 540]]
    seen = family.postprocess(rows_of(prepared.fit, boxes, [0.9, 0.4], [2, 16]), prepared.fit)
    found = [[d.x1, d.y1, d.x2, d.y2] for d in seen]
    np.testing.assert_allclose(found, boxes, atol=1e-3)
    assert [d.label for d in seen] == ["car", "dog"]
    assert (seen.image_width, seen.image_height) == (960, 540)


@BOTH
def test_rows_under_the_floor_are_not_detections(family):
    fit = family.preprocess(picture()).fit
    boxes = [[10, 10, 50, 50]] * 3
    assert len(family.postprocess(rows_of(fit, boxes, [0.0501, 0.0499, 0.0]), fit)) == 1


@BOTH
def test_boxes_are_cut_at_the_pictures_edge_and_what_is_left_outside_is_gone(family):
    fit = family.preprocess(picture()).fit
    seen = family.postprocess(rows_of(fit, [[-50, 10, 40, 60], [-90, 10, 0.5, 60]], [0.9, 0.9]), fit)
    assert [(d.x1, round(d.x2)) for d in seen] == [(0.0, 40)]


@BOTH
def test_a_stray_inverted_box_is_dropped(family):
    fit = family.preprocess(picture()).fit
    assert len(family.postprocess(rows_of(fit, [[10, 10, 50, 50], [50, 10, 20, 60]], [0.9, 0.8]), fit)) == 1


@BOTH
def test_nothing_but_inverted_boxes_is_a_broken_model_and_not_an_empty_scene(family):
    fit = family.preprocess(picture()).fit
    with pytest.raises(InvalidDetections, match="inverted"):
        family.postprocess(rows_of(fit, [[50, 10, 20, 60]] * 2, [0.9, 0.8]), fit)


@BOTH
@pytest.mark.parametrize("column", range(6))
def test_nan_is_refused_in_every_column(family, column):
    fit = family.preprocess(picture()).fit
    table = rows_of(fit, [[10, 10, 50, 50]], [0.9])
    table[0, column] = np.nan
    with pytest.raises(InvalidDetections):
        family.postprocess(table, fit)


@BOTH
def test_an_answer_of_another_shape_is_refused(family):
    fit = family.preprocess(picture()).fit
    with pytest.raises(InvalidDetections, match="shape"):
        family.postprocess(np.zeros((84, 8400), dtype=np.float32), fit)
