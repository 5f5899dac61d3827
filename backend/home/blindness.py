"""Whether a detector sees anything at all, and why not, in words. Pure.

Blind is who cannot be reached, whom no side can serve, or who was asked and looked at nothing. Not blind is who was
asked for nothing: that is an empty street. What is shown changes when two looks in a row say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from backend.home.look import Look, SideState
from backend.home.windows import Window, long_enough, newest_interval
from backend.sides import Side

LEAST_ASKED: Final = 3  # pictures of which none was looked at: one that is late blinds nobody
LOOKS_TO_CHANGE: Final = 2  # one look that failed is a hiccup
_SIDE_WORDS: Final[dict[SideState, str]] = {
    "serves": "serves", "starting": "has not answered yet", "fails": "fails", "not asked": "may not be asked",
}  # fmt: skip
_OUTCOME_WORDS: Final = {
    "gone": "the caller left before the answer",
    "late": "the deadline passed",
    "unavailable": "no side could serve",
    "busy": "the sides were full",
    "failed": "a fault of the backend",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    blind: bool
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What was published, and how many looks in a row have said otherwise since."""

    judgement: Judgement
    against: int = 0

    @property
    def is_doubted(self) -> bool:
        return self.against > 0

    def after(self, now: Judgement) -> Shown:
        if now.blind == self.judgement.blind:
            return Shown(now)
        if self.against + 1 >= LOOKS_TO_CHANGE:
            return Shown(now)
        return replace(self, against=self.against + 1)


def judged(detector: str, looks: Sequence[Look]) -> Judgement:
    """By what the newest look says, and those before it let it mean."""
    look = looks[-1]
    if look.away:
        return Judgement(True, look.away)
    newest = newest_interval(detector, looks)
    if newest is not None and newest.looked:  # that picture is a proof, whatever one worker says of its sides
        return Judgement(False, "pictures are looked at")
    sides = look.sides.get(detector, {})
    if "serves" not in sides.values():
        words = "; ".join(f"{side} {_SIDE_WORDS[state]}" for side, state in sides.items())
        return Judgement(True, f"no side can serve {detector}: {words or 'the backend does not know it'}")
    window = long_enough(detector, looks, LEAST_ASKED)
    if window is not None and window.asked >= LEAST_ASKED and not window.looked:
        return Judgement(True, _unanswered(window))
    if window is not None and window.looked:
        return Judgement(False, "pictures are looked at")
    return Judgement(False, f"{_quiet(window)}; {_who_would(sides)} would answer")


def _unanswered(window: Window) -> str:
    reasons = sorted(window.unanswered.items(), key=lambda reason: -reason[1])
    words = "; ".join(f"{count:,} times {_OUTCOME_WORDS.get(name, name)}" for name, count in reasons)
    return f"none of the last {window.asked:,} pictures was looked at: {words}"


def _quiet(window: Window | None) -> str:
    few = window is not None and window.asked
    return "too few pictures were asked for to tell" if few else "nobody asks"


def _who_would(sides: Mapping[Side, SideState]) -> str:
    return " and ".join(side for side, state in sides.items() if state == "serves")
