"""Two sides' boxes in one picture: who is whose partner, and what everybody else is called."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from ai.core import matching
from ai.core.detections import Detection, Detections, Thresholds
from ai.core.geometry import iou
from ai.core.labels import COCO_80
from ai.core.matching import Comparison, compare

PERSON, CAR, TRUCK = 0, 2, 7
THRESHOLD = 0.25


def box(x: float, score: float = 0.9, class_id: int = CAR, side: float = 100) -> Detection:
    return Detection(x, 0, x + side, side, score, class_id, COCO_80[class_id])


def seen(*items: Detection) -> Detections:
    return Detections(items, 1000, 1000)


def compared(legacy: Detections, other: Detections) -> Comparison:
    return compare(legacy, other, THRESHOLD)


def kinds(comparison: Comparison) -> tuple[list[str], list[str]]:
    return [one.kind for one in comparison.legacy], [one.kind for one in comparison.other]


def test_boxes_that_share_less_than_half_never_match() -> None:
    """They are one difference, not a missed box and an extra one."""
    assert kinds(compared(seen(box(0)), seen(box(33)))) == (["same"], ["same"])  # IoU 67 / 133
    comparison = compared(seen(box(0)), seen(box(34)))
    assert kinds(comparison) == (["misplaced"], ["misplaced"])
    assert comparison.differences == (("misplaced", "car"),)


def test_boxes_that_share_next_to_nothing_are_two_things() -> None:
    assert kinds(compared(seen(box(0)), seen(box(81)))) == (["misplaced"], ["misplaced"])  # IoU 19 / 181
    comparison = compared(seen(box(0)), seen(box(82)))  # IoU 18 / 182
    assert comparison.differences == (("missed", "car"), ("extra", "car"))


def test_the_pairing_is_the_best_one_of_all_not_the_best_pair_first() -> None:
    """Greedy would pair the two nearest and leave the others without a partner."""
    comparison = compared(seen(box(0), box(30)), seen(box(25), box(60)))
    assert kinds(comparison) == (["same", "same"], ["same", "same"])
    assert [(pair.legacy.x1, pair.other.x1) for pair in comparison.pairs] == [(0, 25), (30, 60)]


def test_another_class_at_the_same_place_is_a_swap_and_counts_once() -> None:
    comparison = compared(seen(box(0)), seen(box(0, class_id=TRUCK)))
    assert kinds(comparison) == (["swapped"], ["swapped"])
    assert comparison.differences == (("swapped", "car"),)
    assert comparison.swaps == (("car", "truck"),)


def test_a_second_box_round_what_both_see_is_a_duplicate_on_whichever_side() -> None:
    twice = seen(box(0), box(20, 0.8))
    assert compared(seen(box(0)), twice).differences == (("duplicate", "car"),)
    assert compared(twice, seen(box(0))).differences == (("duplicate", "car"),)
    other_class = seen(box(0), box(20, 0.8, PERSON))
    assert compared(seen(box(0)), other_class).differences == (("extra", "person"),)


@pytest.mark.parametrize(
    ("legacy", "other", "wanted"),
    [
        ([0.26], [0.24], "borderline"),
        ([0.60], [0.21], "borderline"),  # the other side's score is what lies near the threshold
        ([0.29], [], "borderline"),
        ([0.31], [], "missed"),
        ([0.60], [0.19], "missed"),
    ],
)
def test_a_detection_near_the_threshold_on_either_side_is_no_error(
    legacy: list[float], other: list[float], wanted: str
) -> None:
    a, b = seen(*(box(0, score) for score in legacy)), seen(*(box(0, score) for score in other))
    assert kinds(compared(a, b))[0] == [wanted]
    assert kinds(compared(b, a))[1] == ["extra" if wanted == "missed" else wanted]
    assert compared(a, b).differs == (wanted == "missed")


def test_each_class_has_its_own_threshold() -> None:
    """What is nothing for a car, and borderline for a truck, is a person."""
    thresholds = Thresholds(0.9, {PERSON: 0.3, TRUCK: 0.48})
    found = seen(*(box(200 * i, 0.5, class_id) for i, class_id in enumerate((PERSON, CAR, TRUCK))))
    comparison = compare(found, seen(), thresholds)
    assert [(one.detection.label, one.kind) for one in comparison.legacy] == [
        ("person", "missed"),
        ("truck", "borderline"),
    ]


def test_two_weak_boxes_at_odds_are_no_difference() -> None:
    a = seen(box(0, 0.27))
    assert not compared(a, seen(box(0, 0.28, TRUCK))).differs
    assert not compared(a, seen(box(40, 0.28))).differs


def test_a_weak_duplicate_takes_nobodys_partner() -> None:
    legacy = seen(box(0, 0.9), box(4, 0.22))
    assert kinds(compared(legacy, seen(box(4, 0.9)))) == (["same"], ["same"])


def test_of_boxes_that_share_as_much_the_surer_one_is_matched() -> None:
    """The order in which they are told says nothing."""
    for found in (seen(box(0, 0.9), box(0, 0.27)), seen(box(0, 0.27), box(0, 0.9))):
        comparison = compared(found, seen(box(0)))
        assert {one.detection.score: one.kind for one in comparison.legacy} == {
            0.9: "same",
            0.27: "borderline",
        }


def test_boxes_at_one_place_are_paired_by_their_scores() -> None:
    """An unsure network cuts many boxes to the whole picture; paired at random their scores would seem far apart."""
    heap = [box(0, 0.3 + 0.03 * number) for number in range(20)]
    assert compared(seen(*heap), seen(*heap[::-1])).drift == pytest.approx(0, abs=1e-9)


def test_mean_iou_is_of_the_pairs_and_none_without_any() -> None:
    assert compared(seen(), seen()).mean_iou is None
    assert compared(seen(box(0), box(500)), seen(box(0), box(533))).mean_iou == pytest.approx(
        (1 + 67 / 133) / 2
    )


scenes = st.lists(
    st.builds(
        box,
        st.integers(0, 800).map(float),
        st.integers(50, 1000).map(lambda thousandths: thousandths / 1000),
        st.sampled_from((PERSON, CAR, TRUCK)),
    ),
    max_size=8,
).map(lambda items: seen(*items))


@given(scenes)
def test_nobody_disagrees_with_himself(a: Detections) -> None:
    comparison = compared(a, a)
    assert {seen.kind for seen in (*comparison.legacy, *comparison.other)} <= {"same"}
    assert not comparison.differs


@given(scenes, scenes)
def test_both_sides_tell_the_same_story(a: Detections, b: Detections) -> None:
    """What one misses is extra for the other; the rest is called the same from either side."""
    there, back = compared(a, b), compared(b, a)
    assert Counter(kinds(there)[0]) == Counter("missed" if k == "extra" else k for k in kinds(back)[1])
    assert Counter(kinds(there)[1]) == Counter("extra" if k == "missed" else k for k in kinds(back)[0])
    assert there.disagreements == back.disagreements
    assert there.differs == bool(there.differences)


@given(scenes, scenes)
def test_every_box_over_the_threshold_has_one_name_and_at_most_one_partner(
    a: Detections, b: Detections
) -> None:
    comparison = compared(a, b)
    for found, named in ((a, comparison.legacy), (b, comparison.other)):
        assert [one.detection for one in named] == [one for one in found if one.score >= THRESHOLD]
    for kind in ("same", "swapped", "misplaced"):
        assert kinds(comparison)[0].count(kind) == kinds(comparison)[1].count(kind)
    assert len(comparison.pairs) == kinds(comparison)[0].count("same")
    assert len(comparison.swaps) == kinds(comparison)[0].count("swapped")


def test_an_assignment_is_made_of_one_class_and_of_those_boxes_alone_that_have_a_choice(monkeypatch) -> None:
    """Its time grows with the cube of its table."""
    shapes = []

    def watched(worth, **more):
        shapes.append(worth.shape)
        return linear_sum_assignment(worth, **more)

    monkeypatch.setattr(matching, "linear_sum_assignment", watched)
    crowd = [box(150 * i, class_id=class_id) for class_id in (PERSON, CAR, TRUCK) for i in range(3)]
    lonely = [box(800 + 150 * i) for i in range(40)]
    assert kinds(compared(seen(*crowd, *lonely), seen(*crowd)))[0] == ["same"] * 9 + ["missed"] * 40
    assert shapes == [(3, 3)] * 3


def test_sides_that_agree_cost_one_table_of_their_boxes(monkeypatch) -> None:
    """Only a box without a partner is held against the others once more: it may be a duplicate."""
    looked_at = []

    def watched(a, b):
        looked_at.append(len(a) * len(b))
        return iou(a, b)

    monkeypatch.setattr(matching, "iou", watched)
    crowd = [box(150 * i) for i in range(20)]
    assert set(kinds(compared(seen(*crowd), seen(*crowd)))[0]) == {"same"}
    assert sum(looked_at) == 20 * 20
    looked_at.clear()
    assert "duplicate" in kinds(compared(seen(*crowd, box(3)), seen(*crowd)))[0]
    assert sum(looked_at) == 21 * 20 + 2 * 20


@given(scenes, scenes, st.randoms())
def test_the_order_of_the_boxes_says_nothing(a: Detections, b: Detections, chance) -> None:
    assume(len(set(a)) == len(a) and len(set(b)) == len(b))
    before = compared(a, b)
    mixed = [list(a), list(b)]
    for items in mixed:
        chance.shuffle(items)
    after = compared(*(seen(*items) for items in mixed))
    assert set(before.legacy) == set(after.legacy)
    assert set(before.other) == set(after.other)
    assert sorted(before.differences) == sorted(after.differences)
