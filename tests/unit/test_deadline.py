"""One deadline: it ends when it says, and nothing made from it ends later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.services.deadline import Deadline
from tests.clocks import HandClock

SECONDS = st.floats(0, 100)


def test_what_is_left_shrinks_to_nothing_and_no_further() -> None:
    clock = HandClock()
    deadline = Deadline.after(5, clock)
    assert (deadline.left_s(), deadline.passed) == (5, False)
    clock.sleep(3)
    assert deadline.left_s() == 2
    clock.sleep(2)
    assert (deadline.left_s(), deadline.passed) == (0, True)
    clock.sleep(60)
    assert deadline.left_s() == 0


def test_a_deadline_of_no_seconds_has_passed() -> None:
    assert Deadline.after(0, HandClock()).passed
    assert Deadline.after(-1, HandClock()).passed


def test_a_share_is_of_what_is_left_now_not_of_what_there_was() -> None:
    clock = HandClock()
    deadline = Deadline.after(5, clock)
    clock.sleep(2.5)
    assert deadline.share(0.4).left_s() == pytest.approx(1.0)
    clock.sleep(1.5)
    assert deadline.share(1).left_s() == pytest.approx(1.0)
    assert deadline.share(0).passed


def test_a_share_of_a_passed_deadline_has_passed() -> None:
    clock = HandClock()
    deadline = Deadline.after(1, clock)
    clock.sleep(2)
    assert deadline.share(1).passed
    assert deadline.no_later_than(10).passed


def test_the_earlier_end_holds() -> None:
    deadline = Deadline.after(5, HandClock())
    assert deadline.no_later_than(1).left_s() == 1
    assert deadline.no_later_than(60).left_s() == 5


@given(SECONDS, SECONDS, st.floats(0, 1), SECONDS, SECONDS)
def test_nothing_made_from_a_deadline_ends_after_it(
    length_s: float, passed_s: float, share: float, cut_s: float, later_s: float
) -> None:
    clock = HandClock()
    deadline = Deadline.after(length_s, clock)
    clock.sleep(passed_s)
    for made in (
        deadline.share(share),
        deadline.no_later_than(cut_s),
        deadline.share(share).no_later_than(cut_s),
    ):
        assert made.ends_at <= deadline.ends_at
    parts = deadline.share(share), deadline.no_later_than(cut_s)
    clock.sleep(later_s)
    for part in parts:
        assert 0 <= part.left_s() <= deadline.left_s()


def test_real_time_is_the_default() -> None:
    assert 0 < Deadline.after(60).left_s() <= 60
