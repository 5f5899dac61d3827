"""A detector's spec: both of ours read, and a wrong one says what is wrong and what is allowed."""

import pytest

from ai.core.errors import InvalidSpec
from ai.core.labels import COCO_80
from ai.core.spec import DetectorSpec
from ai.rtdetr import processing as rtdetr
from ai.yolo26 import processing as yolo26


def test_the_two_detectors_differ_where_they_should():
    assert (yolo26.spec().fit, yolo26.spec().box_format) == ("letterbox", "xyxy-pixels")
    assert (rtdetr.spec().fit, rtdetr.spec().box_format) == ("stretch", "cxcywh-unit")
    for spec in (yolo26.spec(), rtdetr.spec()):
        assert spec.labels == COCO_80
        assert (spec.input_width, spec.input_height, spec.score_floor) == (640, 640, 0.05)


GOOD = """
name = "forklifts"
title = "Forklifts"
input_name = "x"
input_width = 320
input_height = 256
fit = "letterbox"
pixel_scale = 1
pixel_mean = [0, 0, 0]
pixel_std = [1, 1, 1]
output_name = "y"
box_format = "xyxy-pixels"
max_detections = 100
score_floor = 0.1
labels = ["forklift", "pallet"]
"""


def load(tmp_path, text):
    path = tmp_path / "detector.toml"
    path.write_text(text)
    return DetectorSpec.load(path)


def test_a_new_detector_is_a_file(tmp_path):
    spec = load(tmp_path, GOOD)
    assert spec.labels == ("forklift", "pallet")
    assert spec.pixel_std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ('fit = "letterbox"', 'fit = "crop"', "fit is 'crop'; it must be letterbox or stretch"),
        ("input_width = 320", "input_width = 8", "input_width is 8; it must be from 16 to 4096"),
        ("input_width = 320", 'input_width = "wide"', "input_width is 'wide'; it must be a int"),
        ("input_width = 320", "input_width = true", "input_width is True"),
        ("score_floor = 0.1", "score_floor = 1.5", "score_floor is 1.5; it must be from 0 to under 1"),
        ("score_floor = 0.1", "", "missing: score_floor"),
        ("score_floor = 0.1", "score_floor = 0.1\nspeed = 3", "unknown: speed"),
        ("pixel_std = [1, 1, 1]", "pixel_std = [1, 0, 1]", "pixel_std is"),
        ("pixel_mean = [0, 0, 0]", "pixel_mean = [0, 0]", "numbers"),
        ("pixel_mean = [0, 0, 0]", 'pixel_mean = "none"', "numbers"),
        ('labels = ["forklift", "pallet"]', 'labels = "voc"', "coco-80"),
        ('labels = ["forklift", "pallet"]', "labels = []", "at least one name"),
        ('labels = ["forklift", "pallet"]', 'labels = ["a", "a"]', "each once"),
        (
            'box_format = "xyxy-pixels"',
            'box_format = "xywh"',
            "xyxy-pixels or cxcywh-pixels or xyxy-unit or cxcywh-unit",
        ),
        ("max_detections = 100", "max_detections = 0", "1 to 10,000"),
        ('name = "forklifts"', 'name = "fork lifts"', "letters, digits and _"),
        ("pixel_scale = 1", "pixel_scale = 0", "more than 0"),
        ("pixel_scale = 1", "pixel_scale = ", "cannot be read"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(tmp_path, line, instead, message):
    with pytest.raises(InvalidSpec) as caught:
        load(tmp_path, GOOD.replace(line, instead))
    assert message in str(caught.value)
    assert "detector.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path):
    with pytest.raises(InvalidSpec, match="cannot be read"):
        DetectorSpec.load(tmp_path / "none.toml")
