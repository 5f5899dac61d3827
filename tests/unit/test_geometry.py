"""Fitting an image into a model's input, and finding the way back exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai.core.geometry import PAD_VALUE, fit, iou, letterbox, stretch

SIZES = st.integers(1, 4000)


def random_boxes(width, height, seed=0):
    points = np.random.default_rng(seed).uniform((0, 0), (width, height), (50, 2, 2))
    return np.concatenate((points.min(axis=1), points.max(axis=1)), axis=1)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(SIZES, SIZES, st.sampled_from(["letterbox", "stretch"]))
def test_a_box_comes_back_exactly(width, height, kind):
    """inverse(forward(box)) is the box, for every size and both ways of fitting."""
    place = fit(kind, width, height, 640, 640)
    boxes = random_boxes(width, height)
    np.testing.assert_allclose(place.inverse(place.forward(boxes)), boxes, atol=1e-9 * max(width, height))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(SIZES, SIZES)
def test_the_image_lies_inside_the_canvas_and_touches_two_sides(width, height):
    place = letterbox(width, height, 640, 640)
    assert 0 <= place.left <= place.left + place.inner_width <= 640
    assert 0 <= place.top <= place.top + place.inner_height <= 640
    assert place.inner_width == 640 or place.inner_height == 640
    corner = place.forward(np.array([[0, 0, width, height]]))[0]
    np.testing.assert_allclose(corner[2:], (place.left + place.inner_width, place.top + place.inner_height))


@pytest.mark.parametrize(("width", "height"), [(960, 540), (540, 960), (333, 777), (640, 640), (100, 50)])
@pytest.mark.parametrize("kind", ["letterbox", "stretch"])
def test_pixels_go_where_boxes_go(width, height, kind):
    """A bright rectangle is found, after fitting, where `forward` says."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    box = np.array([width // 4, height // 4, width // 2, height * 3 // 4])
    image[box[1] : box[3], box[0] : box[2]] = 255
    place = fit(kind, width, height, 640, 640)
    canvas = place.apply(image)
    assert canvas.shape == (640, 640, 3)
    bright = np.argwhere(canvas[:, :, 0] > 200)
    found = np.concatenate((bright.min(axis=0)[::-1], bright.max(axis=0)[::-1] + 1))
    assert np.abs(found - place.forward(box[None])[0]).max() <= 1.5 + max(place.scale) / 2


def test_what_the_image_leaves_is_padded_with_grey():
    canvas = letterbox(640, 320, 640, 640).apply(np.zeros((320, 640, 3), dtype=np.uint8))
    assert (canvas[:160] == PAD_VALUE).all()
    assert (canvas[160:480] == 0).all()
    assert (canvas[480:] == PAD_VALUE).all()


def test_an_image_of_the_inputs_size_is_not_touched():
    image = np.random.default_rng(1).integers(0, 255, (640, 640, 3), dtype=np.uint8)
    for place in (letterbox(640, 640, 640, 640), stretch(640, 640, 640, 640)):
        np.testing.assert_array_equal(place.apply(image), image)


def test_clip_keeps_boxes_inside_the_source():
    place = letterbox(100, 50, 640, 640)
    np.testing.assert_array_equal(place.clip(np.array([[-5, -5, 200, 20]])), [[0, 0, 100, 20]])


def test_iou_of_known_boxes():
    a = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], dtype=float)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], dtype=float)
    np.testing.assert_allclose(iou(a, b), [[1, 1 / 3, 0], [0, 0, 0]])
    assert iou(np.zeros((0, 4)), b).shape == (0, 3)
