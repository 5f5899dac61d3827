"""Whether a detector sees anything at all, and why not, in words. Pure.

Blind is who cannot be reached, whom no side can serve, or who was asked and looked at next to nothing. Not blind is who
was asked for nothing: that is an empty street. What nobody can tell is neither. What is shown changes when two looks in
a row say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from backend.home.look import OK, Look, SideState
from backend.home.windows import Window, long_enough, newest_interval
from backend.sides import Side

LOOKS_TO_CHANGE: Final = 2  # one look that failed is a hiccup
TURNS, TURNS_OF = 3, 10  # that counters fall so often in so many looks is no restart
_SIDE_WORDS: Final[dict[SideState, str]] = {
    "serves": "serves", "compared": "is only compared with", "starting": "has not answered yet", "fails": "fails",
    "not asked": "may not be asked",
}  # fmt: skip
_OUTCOME_WORDS: Final = {
    "gone": "the caller left before the answer",
    "late": "the deadline passed",
    "unavailable": "no side could serve",
    "busy": "the sides were full",
    "refused": "what was sent was refused",
    "failed": "a fault of the backend",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    blind: bool | None  # None: nobody can tell
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What was published, and how many looks in a row have said otherwise since."""

    judgement: Judgement
    against: int = 0

    @classmethod
    def first(cls, judgement: Judgement) -> Shown:
        """What nobody can tell yet is soon known."""
        return cls(judgement, against=int(judgement.blind is None))

    @property
    def is_doubted(self) -> bool:
        return self.against > 0

    def after(self, now: Judgement) -> Shown:
        if now.blind == self.judgement.blind or self.judgement.blind is None:
            return Shown(now)
        if self.against + 1 >= LOOKS_TO_CHANGE:
            return Shown(now)
        return replace(self, against=self.against + 1)


def judged(detector: str, looks: Sequence[Look]) -> Judgement:
    """By what the newest look says, and those before it let it mean."""
    look = looks[-1]
    if look.away:
        return Judgement(True, look.away)
    takes_turns = sum(one.began_anew for one in looks[-TURNS_OF:]) >= TURNS
    newest = newest_interval(detector, looks)
    if newest is not None and newest.is_seen and not takes_turns:
        return Judgement(False, "pictures are looked at")  # a proof, whatever one worker says of its sides
    sides = look.sides.get(detector, {})
    if "serves" not in sides.values():
        words = "; ".join(f"{side} {_SIDE_WORDS[state]}" for side, state in sides.items())
        return Judgement(True, f"no side can serve {detector}: {words or 'the backend does not know it'}")
    if takes_turns:
        return Judgement(None, "the counters fall again and again: do several backends answer in turn?")
    if detector not in look.counts:
        return Judgement(None, look.missing or f"the backend tells no figures of {detector}")
    return _by_counters(long_enough(detector, looks), sides)


def _by_counters(window: Window | None, sides: Mapping[Side, SideState]) -> Judgement:
    if window is None:
        return Judgement(None, "it was looked at once; what is asked for is not known yet")
    if window.is_unseen:
        return Judgement(True, _unanswered(window))
    if window.looked:
        return Judgement(False, "pictures are looked at")
    would = " and ".join(side for side, state in sides.items() if state == "serves")
    quiet = "too few pictures were asked for to tell" if window.sent else "nobody asks"
    return Judgement(False, f"{quiet}; {would} would answer")


def _unanswered(window: Window) -> str:
    others = {name: count for name, count in window.outcomes.items() if name != OK}
    reasons = sorted(others.items(), key=lambda reason: -reason[1])
    words = "; ".join(f"{count:,} times {_OUTCOME_WORDS.get(name, name)}" for name, count in reasons)
    looked = f"only {window.looked:,}" if window.looked else "none"
    return f"{looked} of the last {window.sent:,} pictures was looked at: {words}"
