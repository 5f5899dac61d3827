"""How long a wrong key takes says nothing of the right one."""

from __future__ import annotations

import hmac
import random
import time
from collections.abc import Callable

import pytest

from backend.api import keys
from backend.api.keys import Keys

pytestmark = pytest.mark.alone

KEY = "k3Yq" * 16
PAIRS = 3000


@pytest.mark.parametrize("presented", ["none-of-them", KEY, "last-key", KEY[:-1], "", "x" * 5000])
def test_every_known_key_is_compared_whole_whatever_is_presented(monkeypatch, presented: str) -> None:
    """Of the same length, so that not even that is told; a match does not end it."""
    compared: list[tuple[int, int]] = []

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    known = Keys.parsed(f"ops:admin:{KEY},eye:viewer:middle-key,cam:caller:last-key")

    class Counted:
        compare_digest = staticmethod(counting)

    monkeypatch.setattr(keys, "hmac", Counted)
    known.key_of(presented)
    assert compared == [(32, 32)] * 3


def leaking(presented: str) -> bool:
    """As it must not be done: it ends at the first sign that differs."""
    for one, other in zip(presented, KEY, strict=True):  # noqa: SIM110 - the slip that is meant
        if one != other:
            return False
    return True


def told_apart(compare: Callable[[str], object]) -> float:
    """How often what is nearly right takes longer than what is all wrong: 0.5 says nothing, 0 and 1 everything.

    Both take turns at random, so that whatever else slows this machine slows both.
    """
    chance = random.Random(7)
    times: dict[str, list[int]] = {"!" + KEY[1:]: [], KEY[:-1] + "!": []}
    order = [key for key in times for _ in range(PAIRS)]
    chance.shuffle(order)
    for key in order:
        began = time.perf_counter_ns()
        compare(key)
        times[key].append(time.perf_counter_ns() - began)
    early, late = times.values()
    ranked = sorted(
        [(took, chance.random(), True) for took in late] + [(took, chance.random(), False) for took in early]
    )
    places = sum(place for place, (_, _, is_late) in enumerate(ranked, 1) if is_late)
    return (places - PAIRS * (PAIRS + 1) / 2) / PAIRS**2


def test_what_is_nearly_right_takes_as_long_as_what_is_all_wrong() -> None:
    """By ranks over thousands of tries; the control, which leaks, is found out by the same measure."""
    known = Keys.parsed(f"ops:admin:{KEY}")
    assert told_apart(leaking) > 0.9
    assert abs(told_apart(known.key_of) - 0.5) < 0.15
