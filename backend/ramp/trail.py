"""How the disagreement of an epoch went so far: the points of its plot."""

from __future__ import annotations

from typing import Final

from backend.ramp.looks import Answer, Point

MAX_POINTS: Final = 200


def longer(trail: tuple[Point, ...], answers: tuple[Answer, ...]) -> tuple[Point, ...]:
    """A point for each look that had new samples; when there are too many, every other one goes."""
    answer = next((one for one in answers if one.question == "disagreement"), None)
    if answer is None or answer.rate is None or answer.low is None or answer.high is None:
        return trail
    if trail and trail[-1].samples == answer.asked:
        return trail
    kept = trail[::2] if len(trail) >= MAX_POINTS else trail
    return (*kept, Point(answer.asked, answer.rate, answer.low, answer.high))
