"""Every layout that a network may answer in becomes the same rows."""

from dataclasses import replace

import numpy as np
import pytest

from ai.core import heads
from ai.core.errors import InvalidDetections
from ai.core.spec import DetectorSpec

SPEC = DetectorSpec(
    name="two", title="Two", input_name="x", input_width=320, input_height=180, fit="stretch",
    output_name="y", max_detections=4, score_floor=0.1, labels=("cat", "dog"),
)  # fmt: skip
ROWS = np.array([[32, 18, 96, 90, 0.75, 1], [0, 0, 160, 90, 0.5, 0], [1, 1, 2, 2, 0.01, 0]], np.float32)
WANTED = ROWS[:2].astype(np.float64)


def centred(boxes):
    return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)


def grid(boxes, scores, classes):
    answer = np.zeros((6, len(boxes)), np.float32)
    answer[:4] = boxes.T
    answer[4 + classes.astype(int), np.arange(len(boxes))] = scores
    return answer


def test_rows_in_our_own_order_are_taken_as_they_are():
    np.testing.assert_allclose(heads.read(ROWS, SPEC), WANTED)


def test_the_columns_may_stand_in_another_order():
    spec = replace(SPEC, row=("box", "class", "score"))
    np.testing.assert_allclose(heads.read(ROWS[:, [0, 1, 2, 3, 5, 4]], spec), WANTED)
    spec = replace(SPEC, row=("class", "score", "box"))
    np.testing.assert_allclose(heads.read(ROWS[:, [5, 4, 0, 1, 2, 3]], spec), WANTED)


@pytest.mark.parametrize("layout", ["anchors", "queries"])
def test_class_scores_become_the_best_class(layout):
    answer = grid(centred(ROWS[:, :4]), ROWS[:, 4], ROWS[:, 5])
    spec = replace(SPEC, layout=layout, box_format="cxcywh-pixels")
    np.testing.assert_allclose(heads.read(answer if layout == "anchors" else answer.T, spec), WANTED)


def test_boxes_in_parts_of_the_input_become_pixels():
    rows = ROWS.copy()
    rows[:, :4] = centred(ROWS[:, :4]) / [320, 180, 320, 180]
    np.testing.assert_allclose(heads.read(rows, replace(SPEC, box_format="cxcywh-unit")), WANTED, rtol=1e-6)


def test_of_overlapping_boxes_of_one_class_the_best_stays():
    boxes = np.array([[10, 10, 50, 50], [11, 11, 51, 51], [11, 11, 51, 51], [100, 100, 120, 120]], np.float32)
    answer = grid(boxes, np.array([0.6, 0.9, 0.8, 0.3]), np.array([0, 0, 1, 0]))
    spec = replace(SPEC, layout="anchors", nms_iou=0.7)
    assert heads.read(answer, spec)[:, 4:].tolist() == pytest.approx(
        np.array([[0.9, 0], [0.8, 1], [0.3, 0]]), abs=1e-6
    )
    assert len(heads.read(answer, replace(spec, max_detections=2))) == 2


@pytest.mark.parametrize("layout", ["rows", "anchors", "queries"])
@pytest.mark.parametrize("nms_iou", [0.0, 0.5])
def test_a_nan_is_kept_so_that_it_can_be_refused(layout, nms_iou):
    answer = {"rows": np.zeros((3, 6)), "anchors": np.zeros((6, 3)), "queries": np.zeros((3, 6))}[layout]
    answer[-1, -1] = np.nan
    spec = replace(SPEC, layout=layout, nms_iou=nms_iou, score_floor=0.0)
    assert np.isnan(heads.read(answer, spec)).any()


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("rows", (300, 5)), ("rows", (6,)), ("anchors", (84, 10)), ("queries", (10, 7)), ("queries", (10,))],
)
def test_an_answer_of_another_shape_is_refused_with_both_shapes(layout, shape):
    with pytest.raises(InvalidDetections, match=r"\["):
        heads.read(np.zeros(shape), replace(SPEC, layout=layout))
