"""How many calls a side that works on many at once may get."""

from __future__ import annotations

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from backend.services.room import ALONE, AS_QUICK, REMEMBERED, Room


def test_without_an_answer_it_says_nothing() -> None:
    assert Room().places(10.0) == 0


def test_half_as_many_again_may_come_while_nothing_queues() -> None:
    room, levels = Room(), []
    room.answered(0.05, beside=0)
    for _ in range(5):
        levels.append(room.places(1.0))
        for _ in range(REMEMBERED):
            room.answered(0.06, beside=levels[-1] - 1)
    assert levels == [3, 5, 7, 10, 15]


def test_where_answers_beside_others_take_longer_it_says_nothing() -> None:
    room = Room()
    room.answered(0.05, beside=0)
    for beside in range(REMEMBERED):
        room.answered(0.05 * (beside + 1), beside)
    assert room.places(10.0) == 0


def test_the_first_of_a_crowd_stands_for_one_that_was_alone() -> None:
    room = Room()
    for beside in range(1, 17):
        room.answered(0.05 * beside, beside)
    assert room.places(10.0) == 0


def test_it_says_nothing_to_a_caller_who_has_less_time() -> None:
    room = Room()
    for _ in range(REMEMBERED):
        room.answered(0.05, beside=3)
    assert room.places(0.04) == 0
    assert room.places(0.06) == 6


def test_a_side_that_became_quicker_alone_is_believed() -> None:
    room = Room()
    for took_s in (0.5, 0.1, 0.1, 0.1):
        room.answered(took_s, beside=0)
    for _ in range(REMEMBERED):
        room.answered(0.3, beside=4)
    assert room.places(1.0) == 0


@given(st.lists(st.tuples(st.floats(0.001, 2.0), st.integers(0, 200)), min_size=1, max_size=90))
def test_what_it_keeps_in_order_is_what_was_answered_last(answers: list[tuple[float, int]]) -> None:
    """By the plain words of it, over all that is remembered."""
    room = Room()
    for answer in answers:
        room.answered(*answer)
    recent = answers[-REMEMBERED:]
    alone_s = [took_s for took_s, beside in answers if beside == 0][-ALONE:]
    usual_s = median(took_s for took_s, _ in recent)
    level = 1 + max(beside for _, beside in recent)
    queues = usual_s > AS_QUICK * (median(alone_s) if alone_s else min(took_s for took_s, _ in answers))
    assert room.places(2.0) == (0 if queues else level + max(2, level // 2))
