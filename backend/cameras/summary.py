"""Cameras in one line while they are played, and as a table when they have been."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from backend.cameras.answers import Answer
from backend.cameras.durations import Durations
from backend.cameras.figures import CameraFigures
from backend.cameras.playing import Clock, Noticed, Playing, Shown
from backend.sides import TRITON

RECENT_S = 10.0  # what rates and percentiles of the line are of
SEEN_S = 3.0  # what was seen longer ago is not seen any more


class _Answered(NamedTuple):
    """What the line needs of an answer: a thousand cameras give fifty thousand in its ten seconds."""

    at: float
    took_s: float
    by_triton: bool


class Summary:
    def __init__(self, playing: Sequence[Playing], clock: Clock) -> None:
        self._playing, self._clock = playing, clock
        self._began = clock()
        self._recent: deque[_Answered] = deque()
        self._last: dict[str, tuple[float, list[str]]] = {}  # what each camera saw, and when

    def hear(self, event: Shown | Noticed) -> None:
        if isinstance(event, Shown) and isinstance(event.outcome, Answer):
            now, answer = self._clock(), event.outcome
            self._recent.append(_Answered(now, answer.took_s, answer.side == TRITON))
            self._last[event.camera] = now, answer.labels
            self._forget(now)

    def line(self) -> str:
        """As of now."""
        now = self._clock()
        self._forget(now)
        tallies = [one.tally for one in self._playing]
        told = [counted(len(tallies), "camera"), self._rate(now, sum(one.fps for one in tallies))]
        told.append(f"{sum(one.dropped for one in tallies):,} dropped")
        if missing := sum(one.no_picture for one in tallies):
            told.append(f"{missing:,} without a picture")
        if self._recent:
            told += self._of_answers()
        failed = sum((one.failed for one in tallies), Counter[str]())
        told.append(f"failed: {kinds(failed)}" if failed else "0 failed")
        told.append(f"sees {seen}" if (seen := kinds(self._seen(now))) else "sees nothing")
        return " | ".join(told)

    def _rate(self, now: float, asked: float) -> str:
        """Over less than the window, where it has not been played for so long."""
        passed_s = max(min(RECENT_S, now - self._began), 1e-9)
        return f"{min(len(self._recent) / passed_s, asked):.1f} of {asked:g} frames/s answered"

    def _of_answers(self) -> list[str]:
        took = Durations()
        for answered in self._recent:
            took.add(answered.took_s)
        by_triton = sum(answered.by_triton for answered in self._recent) / len(self._recent)
        p50, p95 = ms(took.percentile_s(0.5)), ms(took.percentile_s(0.95))
        return [f"p50 {p50} p95 {p95} ms", f"Triton {by_triton:.0%}"]

    def _seen(self, now: float) -> Counter[str]:
        return Counter(label for at, seen in self._last.values() if now - at <= SEEN_S for label in seen)

    def _forget(self, now: float) -> None:
        while self._recent and now - self._recent[0].at > RECENT_S:
            self._recent.popleft()


def headers(all_of_them: Sequence[CameraFigures]) -> list[str]:
    """What nobody asked for, and what never happened, has no column."""
    told = ["camera", "due", "sent", "answered", "dropped", "failed", "p50 ms", "p95 ms", "by Triton"]
    if _is_missing(all_of_them):
        told.insert(5, "no picture")
    if _is_followed(all_of_them):
        told.append("tracks")
    return [*told, "found"]


def rows(all_of_them: Sequence[CameraFigures]) -> Iterable[list[str]]:
    for one in all_of_them:
        told = [one.camera, *(f"{count:,}" for count in (one.due, one.sent, one.answered, one.dropped))]
        if _is_missing(all_of_them):
            told.append(f"{one.no_picture:,}")
        told += [kinds(one.failed) or "0", ms(one.p50_s), ms(one.p95_s), _share(one)]
        if _is_followed(all_of_them):
            told.append(f"{one.tracks or 0:,}")
        yield [*told, kinds(one.found) or "nothing"]


def kinds(counts: Mapping[str, int]) -> str:
    """The most frequent first."""
    return ", ".join(f"{count:,} {kind}" for kind, count in Counter(counts).most_common())


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.0f}"


def _share(one: CameraFigures) -> str:
    return f"{one.by_side.get(TRITON, 0) / one.answered:.0%}" if one.answered else "-"


def _is_missing(all_of_them: Sequence[CameraFigures]) -> bool:
    return any(one.no_picture for one in all_of_them)


def _is_followed(all_of_them: Sequence[CameraFigures]) -> bool:
    return any(one.tracks is not None for one in all_of_them)
