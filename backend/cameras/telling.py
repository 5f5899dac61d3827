"""What is played, told while it is: a live line for people, or a line of JSON for each frame."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ai.terminal.live import LiveLine
from backend.cameras.answers import Answer, Failure
from backend.cameras.playing import Clock, Noticed, Shown
from backend.cameras.summary import Summary

REPEATED_S = 30.0  # in which a kind of failure is told once, and
MOST_NOTICES = 4  # things that happened to a camera: one that comes and goes would fill the screen

Say = Callable[[str], None]


class ForPeople:
    def __init__(self, live: LiveLine, summary: Summary, clock: Clock = time.monotonic) -> None:
        self._live, self._summary, self._clock = live, summary, clock
        self._told_at: dict[str, deque[float]] = {}  # by kind of failure, and by camera

    def __call__(self, event: Shown | Noticed) -> None:
        self._summary.hear(event)
        if isinstance(event, Noticed):
            self._tell(f"of {event.camera}", MOST_NOTICES, f"{event.camera}: {event.words}")
        elif isinstance(failure := event.outcome, Failure):
            self._tell(failure.kind, 1, f"{event.camera}: {failure.kind}: {failure.reason}")

    def show(self) -> None:
        self._live.show(self._summary.line())

    def _tell(self, kind: str, most: int, words: str) -> None:
        """No more than `most` of a kind in a while."""
        now, told_at = self._clock(), self._told_at.setdefault(kind, deque(maxlen=most))
        if len(told_at) < most or now - told_at[0] >= REPEATED_S:
            told_at.append(now)
            self._live.aside(words)


class ForPrograms:
    def __init__(self, say: Say) -> None:
        self._say = say

    def __call__(self, event: Shown | Noticed) -> None:
        self._say(json.dumps(document_of(event) | {"at": round(time.time(), 3)}))

    def show(self) -> None:
        """Each frame has been told already."""


def document_of(event: Shown | Noticed) -> dict[str, Any]:
    if isinstance(event, Noticed):
        return {"event": "notice", "camera": event.camera, "words": event.words}
    told = {"camera": event.camera, "frame": event.number, "took_ms": round(1000 * event.outcome.took_s, 2)}
    if isinstance(event.outcome, Failure):
        failure = event.outcome
        return {
            "event": "failed",
            **told,
            "kind": failure.kind,
            "status": failure.status,
            "reason": failure.reason,
        }
    return {"event": "frame", **told, **_answered(event.outcome, event.tracks)}


def _answered(answer: Answer, tracks: list[str | None] | None) -> dict[str, Any]:
    found = [dict(one) for one in answer.detections]
    for one, track in zip(found, tracks or [], strict=False):
        one["track"] = track
    return {
        "image": {"width": answer.width, "height": answer.height},
        "served_by": dict(answer.served_by),
        "detections": found,
    }
