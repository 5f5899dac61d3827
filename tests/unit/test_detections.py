"""Detections: what cannot be true is refused, what is true is frozen, sorted and never confused with nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai.core.detections import Detection, Detections, Thresholds, checked
from ai.core.errors import InvalidDetections

GOOD = [10.0, 20.0, 30.0, 60.0, 0.9, 2.0]


def rows(*changes):
    table = np.array([GOOD, GOOD], dtype=np.float32)
    for column, value in changes:
        table[1, column] = value
    return table


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ([(0, np.nan)], "NaN"),
        ([(4, np.nan)], "NaN"),
        ([(2, np.inf)], "infinity"),
        ([(4, 1.5)], "score outside"),
        ([(4, -0.1)], "score outside"),
        ([(5, 80)], "class outside 0..79"),
        ([(5, -1)], "class outside"),
        ([(5, 2.5)], "class outside"),
        ([(2, 5)], "inverted"),
        ([(3, 20)], "inverted or empty"),
        ([(0, -40)], "outside the image"),
        ([(2, 700)], "outside the image"),
    ],
)
def test_a_row_that_cannot_be_true_is_refused_and_named(changes, why):
    """NaN, infinities, scores outside 0..1, unknown classes, inverted boxes: never passed on in silence."""
    with pytest.raises(InvalidDetections, match=why) as caught:
        Detections.from_rows(rows(*changes), 640, 480)
    assert "detection 1 " in str(caught.value)


@pytest.mark.parametrize("table", [np.zeros((3, 5)), np.zeros(6), np.zeros((1, 3, 6)), np.array([["a"] * 6])])
def test_a_table_of_another_shape_is_refused(table):
    with pytest.raises(InvalidDetections, match=r"\[n, 6\]"):
        Detections.from_rows(table, 640, 480)


def test_an_image_without_pixels_holds_no_detections():
    with pytest.raises(InvalidDetections, match="0 x 480"):
        Detections.from_rows(np.zeros((0, 6)), 0, 480)


def test_nothing_seen_is_an_answer():
    seen = Detections.from_rows(np.zeros((0, 6), dtype=np.float32), 640, 480)
    assert len(seen) == 0
    assert (seen.image_width, seen.image_height) == (640, 480)


def test_detections_come_best_first_and_cannot_be_changed():
    table = np.array([[1, 1, 5, 5, 0.2, 0], [2, 2, 6, 6, 0.8, 16], [3, 3, 7, 7, 0.5, 2]], dtype=np.float64)
    seen = Detections.from_rows(table, 640, 480)
    assert [item.label for item in seen] == ["dog", "car", "person"]
    assert seen.items[0] == Detection(2.0, 2.0, 6.0, 6.0, 0.8, 16, "dog")
    with pytest.raises(AttributeError):
        seen.items[0].score = 1.0
    with pytest.raises(AttributeError):
        seen.items = ()


def test_thresholds_apply_by_class_and_zero_is_a_value():
    table = np.array([[1, 1, 5, 5, 0.3, 0], [1, 1, 5, 5, 0.3, 2], [1, 1, 5, 5, 0.0, 16]], dtype=np.float64)
    seen = Detections.from_rows(table, 640, 480)
    assert [d.label for d in seen.above(Thresholds(0.25, {2: 0.4}))] == ["person"]
    assert len(seen.above(Thresholds(0.0))) == 3
    assert len(seen.above(Thresholds(0.5))) == 0


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_zero_to_one_is_refused(bad):
    with pytest.raises(ValueError, match="from 0 to 1"):
        Thresholds(bad)
    with pytest.raises(ValueError, match="from 0 to 1"):
        Thresholds(0.5, {3: bad})


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.lists(st.floats(width=32), min_size=6, max_size=6), max_size=5))
def test_any_rows_become_valid_detections_or_an_error(table):
    array = np.array(table, dtype=np.float32).reshape(-1, 6)
    try:
        seen = Detections.from_rows(array, 100, 100)
    except InvalidDetections:
        return
    for item in seen:
        assert 0 <= item.score <= 1
        assert item.x1 < item.x2
        assert item.y1 < item.y2


numbers = st.one_of(
    st.floats(-3, 52, width=32),
    st.sampled_from([-1.0, 0.0, 1.0, 2.0, 41.0, 51.0, 79.0, 80.0, np.nan, np.inf]),
)


@given(st.lists(st.one_of(st.tuples(*[numbers] * 6), st.just((1.0, 2.0, 30.0, 40.0, 0.5, 3.0))), max_size=6))
@settings(max_examples=300)
def test_rows_that_are_handed_on_are_held_to_the_same(table):
    """Same order, same refusal in the same words: a server that makes no objects checks no less."""

    def outcome(check):
        try:
            return [tuple(row) for row in check()]
        except InvalidDetections as error:
            return str(error)

    as_rows = outcome(lambda: checked(np.array(table, np.float64).reshape(-1, 6), 50, 40, 80))
    assert as_rows == outcome(lambda: (one[:6] for one in Detections.from_table(table, 50, 40)))
