"""What is published after each look: the states of all detectors, and what changed, in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.home.blindness import Judgement, Shown, judged
from backend.home.entities import OFF, ON, UNKNOWN, Message, Names
from backend.home.look import Look
from backend.home.windows import kept, last_minute
from backend.sides import SIDES

P95 = 0.95
_PAYLOADS = {True: ON, False: OFF, None: UNKNOWN}
_VERBS = {True: "is blind", False: "can see", None: "may be blind or not"}


@dataclass(frozen=True, slots=True)
class Told:
    messages: tuple[Message, ...]
    changes: tuple[str, ...]  # for people
    is_doubted: bool  # the next look should come soon


class Story:
    """`usual` are the detectors that are spoken of as long as no backend has named its own."""

    def __init__(self, names: Names, usual: Sequence[str], only: frozenset[str] = frozenset()) -> None:
        self._names = names
        self._only = only
        self._looks: tuple[Look, ...] = ()
        self._shown: dict[str, Shown] = {}
        self._named: frozenset[str] = frozenset()  # by a backend, once at least
        self._missing = ""
        self.detectors: tuple[str, ...] = self._wanted(usual)

    def after(self, look: Look) -> Told:
        self._looks = kept(self._looks, look)
        self._learn_names(look)
        changes, messages = self._changed_missing(look), list[Message]()
        for detector in self.detectors:
            changes += self._judge(detector)
            messages += self._states(detector)
        doubted = any(shown.is_doubted for shown in self._shown.values())
        return Told(tuple(messages), tuple(changes), doubted)

    def _wanted(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(self._only or names))

    def _learn_names(self, look: Look) -> None:
        """What a backend has named is spoken of for good: a detector that is gone is blind, and no secret."""
        self._named |= look.sides.keys()
        if self._named:
            self.detectors = self._wanted(tuple(self._named))

    def _judge(self, detector: str) -> list[str]:
        now, before = judged(detector, self._looks), self._shown.get(detector)
        after = self._shown[detector] = Shown.first(now) if before is None else before.after(now)
        if before is not None and before.judgement.blind == after.judgement.blind:
            return []
        return [_in_words(detector, after.judgement)]

    def _changed_missing(self, look: Look) -> list[str]:
        before, self._missing = self._missing, look.missing
        if look.missing == before or look.away:
            return []
        return [look.missing or "the backend tells its figures again"]

    def _states(self, detector: str) -> list[Message]:
        judgement = self._shown[detector].judgement
        names = self._names
        return [
            Message(names.why_blind(detector), json.dumps({"reason": judgement.why})),
            Message(names.blind(detector), _PAYLOADS[judgement.blind]),
            Message(names.state(detector), json.dumps(figures(detector, self._looks))),
        ]


def figures(detector: str, looks: Sequence[Look]) -> dict[str, Any]:
    """None is unknown to Home Assistant: nobody can say, and nothing is made up."""
    look, minute = looks[-1], last_minute(detector, looks)
    flags, sides = look.flags.get(detector), look.sides.get(detector)
    p95_s = minute.quantile_s(P95) if minute else None
    unanswered = sum(minute.unanswered.values()) if minute else 0
    return {
        "rolled_back": (ON if flags.rolled_back else OFF) if flags else None,
        "share_asked": round(100 * flags.asked, 3) if flags else None,
        "share_effective": round(100 * flags.effective, 3) if flags else None,
        "requests_per_s": round(sum(minute.outcomes.values()) / minute.seconds, 2) if minute else None,
        "p95_ms": None if p95_s is None else round(1000 * p95_s, 1),
        "errors_per_min": round(60 * unanswered / minute.seconds, 2) if minute else None,
        "ramp": flags.phase if flags else None,
        **{side: sides[side] if sides else None for side in SIDES},
    }


def _in_words(detector: str, judgement: Judgement) -> str:
    return f"{detector} {_VERBS[judgement.blind]}: {judgement.why}"
