"""What the boxes of a kept pair are called: their classes' names, and none that would be a guess."""

import pytest

from backend.api.samples import names
from backend.rollout.store import Sample

PERSON, CAR = [1.0, 2.0, 3.0, 4.0, 0.9, 0.0], [1.0, 2.0, 3.0, 4.0, 0.9, 2.0]
UNKNOWN = [1.0, 2.0, 3.0, 4.0, 0.9, 123.0]


def sample(*labels, legacy=(), triton=()):
    return Sample("a", 1e9, "yolo26", "gate", "", "day", "1", ("missed",), labels, legacy, triton, 9, 9)


@pytest.mark.parametrize(
    ("pair", "named"),
    [
        pytest.param(sample("person", legacy=[PERSON, CAR]), {"0": "person", "2": "car"}, id="both"),
        pytest.param(sample("car", triton=[CAR]), {"2": "car"}, id="Triton's alone"),
        pytest.param(sample("car", legacy=[CAR, UNKNOWN]), {"2": "car"}, id="an id beyond COCO"),
    ],
)
def test_the_classes_of_either_side_are_named(pair, named):
    assert names(pair) == named


def test_a_detector_with_labels_of_its_own_is_not_given_cocos():
    """Its class 0 is a forklift, and no person."""
    assert names(sample("forklift", legacy=[PERSON])) == {}
