"""Names of classes: COCO's order, what people write, and the classes a camera is watched for."""

import pytest

from ai.core.labels import ALIASES, COCO_80, SECURITY, canonical, class_id, class_ids


def test_coco_order_is_the_order_of_every_published_coco_model():
    assert len(COCO_80) == len(set(COCO_80)) == 80
    known = {
        0: "person",
        1: "bicycle",
        2: "car",
        3: "motorcycle",
        5: "bus",
        7: "truck",
        14: "bird",
        15: "cat",
        16: "dog",
    }
    assert {index: COCO_80[index] for index in known} == known
    assert COCO_80[79] == "toothbrush"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("motorbike", "motorcycle"), ("Person", "person"), (" traffic_light ", "traffic light"),
     ("cell-phone", "cell phone"), ("TVMonitor", "tv"), ("zebra", "zebra")],
)  # fmt: skip
def test_what_people_write_is_understood(written, meant):
    assert canonical(written) == meant
    assert COCO_80[class_id(written)] == meant


def test_every_alias_leads_to_a_class_and_hides_none():
    assert set(ALIASES.values()) <= set(COCO_80)
    assert not set(ALIASES) & set(COCO_80)


def test_an_unknown_name_is_an_error_that_names_it():
    with pytest.raises(KeyError, match="dragon"):
        class_id("dragon")


def test_a_detectors_own_labels_are_taken_as_they_are_written():
    assert class_id("Forklift", ("Forklift", "pallet")) == 0


def test_the_security_subset_is_nine_coco_classes():
    assert class_ids(SECURITY) == {0, 1, 2, 3, 5, 7, 14, 15, 16}
