"""Times one piece of work at several sizes, in turns: every other round goes from the largest to the smallest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.growth.series import Point, Question, Series
from benchmarks.meter import Reading

Work = Callable[[int], object]
"""Do it so many times."""
Clock = Callable[[], float]
Key = TypeVar("Key")
MOST_CALLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    window_s: float  # of one size in one round; work that takes longer is done once

    def times(
        self, question: Question, works: Mapping[float, Work] | Mapping[int, Work], clock: Clock = time.process_time,
        pids: Sequence[int] = (),
    ) -> Series:  # fmt: skip
        """In µs for one call. `clock`: this process's CPU time, or the wall's where another process (`pids`) works."""
        before = Reading.take(*pids)
        ordered: list[tuple[float, Work]] = sorted(works.items())
        points = [Point(x, tuple(values)) for x, values in self.rounds_of(dict(ordered), clock).items()]
        return Series.of(question, points, others_between(before, Reading.take(*pids)))

    def rounds_of(
        self, works: Mapping[Key, Work], clock: Clock = time.process_time
    ) -> dict[Key, list[float]]:
        """µs for one call of each, one value a round."""
        calls = {key: _calls_in(work, self.window_s, clock) for key, work in works.items()}
        seen: dict[Key, list[float]] = {key: [] for key in works}
        for number in range(self.rounds):
            for key in works if number % 2 == 0 else reversed(list(works)):
                seen[key].append(_took_s(works[key], calls[key], clock) / calls[key] * 1e6)
        return seen


def others_between(before: Reading, after: Reading) -> float:
    """Cores that were kept busy by processes that are neither this one nor those that were named."""
    ours_s = after.own_s - before.own_s + (after.server_s or 0.0) - (before.server_s or 0.0)
    wall_s = (after.at_ns - before.at_ns) / 1e9
    return max(0.0, after.machine_s - before.machine_s - ours_s) / wall_s


def _calls_in(work: Work, window_s: float, clock: Clock) -> int:
    """As many as take about that long; finding it out warms the work up."""
    calls = 1
    while (took_s := _took_s(work, calls, clock)) < window_s / 2 and calls < MOST_CALLS:
        calls = max(2 * calls, min(10 * calls, int(calls * window_s / max(took_s, 1e-6))))
    return calls


def _took_s(work: Work, calls: int, clock: Clock) -> float:
    started = clock()
    work(calls)
    return clock() - started


def repeated(one: Callable[[], object]) -> Work:
    def work(times: int) -> None:
        for _ in range(times):
            one()

    return work
