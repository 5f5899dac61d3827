"""What `up` says of two sides that looked at the same picture."""

from __future__ import annotations

import pytest

from backend.stack.sample_table import Seen, agreement, answered, table, verdicts

PERSON, CAR = ("person", (0.0, 0.0, 100.0, 200.0)), ("car", (300.0, 0.0, 500.0, 100.0))


def seen(side, *found, detector="yolo26", **more) -> Seen:
    return Seen(detector, side, "1", found, 0.9, 12.0, **more)


def moved(found, by):
    label, (left, top, right, bottom) = found
    return label, (left + by, top, right + by, bottom)


def test_the_same_objects_in_another_order_a_pixel_off_agree():
    assert agreement(seen("legacy", PERSON, CAR), seen("triton", moved(CAR, 1), PERSON)).startswith(
        "both sides agree"
    )


def test_two_sides_that_saw_nothing_agree():
    assert agreement(seen("legacy"), seen("triton")).startswith("both sides agree")


@pytest.mark.parametrize(
    ("triton", "told"),
    [
        ((PERSON,), "legacy found 1 person, 1 car, triton 1 person"),
        ((PERSON, PERSON, CAR), "triton 2 person, 1 car"),
        ((PERSON, ("truck", CAR[1])), "triton 1 person, 1 truck"),
        ((moved(PERSON, 20), CAR), "a box overlaps by 0.667 only"),
    ],
)
def test_what_one_side_sees_otherwise_is_named(triton, told):
    verdict = agreement(seen("legacy", PERSON, CAR), seen("triton", *triton))
    assert verdict.startswith("THE SIDES DISAGREE")
    assert told in verdict


def test_one_box_cannot_stand_for_two():
    """Two people nearly at one place, and two at two places, are not the same."""
    beside = moved(PERSON, 1)
    far = moved(PERSON, 400)
    assert "DISAGREE" in agreement(seen("legacy", PERSON, beside), seen("triton", PERSON, far))


def test_the_table_has_a_row_a_side_and_a_problem_in_the_place_of_a_find():
    rows = [
        seen("legacy", PERSON, PERSON, CAR),
        Seen("yolo26", "triton", problem="TRITON_ENABLED is false", off=True),
    ]
    head, legacy, triton = table(rows).splitlines()
    assert head.split() == ["detector", "side", "version", "found", "best", "ms"]
    assert legacy.split() == ["yolo26", "legacy", "1", "2", "person,", "1", "car", "0.90", "12"]
    assert "switched off" in triton
    assert list(verdicts(rows)) == ["yolo26, triton: TRITON_ENABLED is false"]


def test_an_answer_is_read_as_the_api_writes_it():
    box = {"x": 1.0, "y": 2.0, "width": 10.0, "height": 20.0}
    answer = {
        "detections": [{"class": "dog", "class_id": 16, "confidence": 0.8, "bbox": box}],
        "served_by": {"model_version": "3"}, "timing_ms": {"total": 7.5, "backend": 6.0},
    }  # fmt: skip
    read = answered("rtdetr", "triton", answer)
    assert (read.version, read.best, read.total_ms) == ("3", 0.8, 7.5)
    assert read.found == (("dog", (1.0, 2.0, 11.0, 22.0)),)
