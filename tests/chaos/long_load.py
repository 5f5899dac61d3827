"""The load of hours: each answer is looked at as it comes, and only the latest ones and what went wrong are kept.

Its callers name cameras as callers do: some the same for ever, and now and then one that was never heard of.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.load import Asked, Load, words_of

LATEST = 400
MOST_FAILURES = 50  # more of the same teaches nothing
NEW_CAMERA_EVERY = 4
CAMERAS = 12


@dataclass
class Kept:
    """Stands where a list of all answers would; its length is of all that came."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    failed: int = 0
    took_ms: array[float] = field(default_factory=lambda: array("f"))
    _latest: deque[Asked] = field(default_factory=lambda: deque(maxlen=LATEST))

    def append(self, one: Asked) -> None:
        self.outcomes[words_of(one)] += 1
        self.took_ms.append(1000 * one.reply.took_s)
        if not one.right:
            self._failed(one)
        self._latest.append(one)

    def _failed(self, one: Asked) -> None:
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            said = {key: one.reply.document[key] for key in ("detail", "error") if key in one.reply.document}
            self.failures.append(
                {"at": one.reply.began, "words": words_of(one), "took_s": round(one.reply.took_s, 3), **said}
            )

    def __len__(self) -> int:
        return len(self.took_ms)

    def __iter__(self) -> Iterator[Asked]:
        return iter(list(self._latest))


class LongLoad(Load):
    def __init__(self, url: str, per_s: float, longest_s: float) -> None:
        super().__init__(url, per_s)
        self.asked: Kept = Kept()  # type: ignore[assignment]
        self.longest_s = longest_s
        self.query_of = lambda number: f"camera={camera_of(number)}"

    @property
    def kept(self) -> Kept:
        return self.asked


def camera_of(number: int) -> str:
    return f"new-{number}" if number % NEW_CAMERA_EVERY == 0 else f"cam-{number % CAMERAS}"
