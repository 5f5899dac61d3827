"""The marks that every row is judged by, from the callers' own records, the backend's metrics, and a control.

answered    every request had an answer, of a status that the row allows
right       every 200 shows the box of its own picture
reasons     whoever was served by the other side was told a reason that the row names
in time     none took longer than the deadline and 50 ms, over what a control beside it took at worst
counted     requests, sides and fallbacks in the metrics are what the callers count
breaker     while its gauge stood at open nobody was served by that side, and at the end it is closed
recovered   the first side serves again; how long that took is a figure
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx

from tests.backends import CLOSED, OPEN, Backend
from tests.chaos.load import Asked, words_of
from tests.chaos.row import Trial
from tests.threads import running

OVER_S = 0.05
SLOWED = {
    "pace"
}  # a side that fell behind for a moment is given less; so it is on a busy machine without any fault
LOOK_S = 0.1
FEW = 5  # examples of what was wrong


@dataclass
class Watch:
    """Looks at the backend while a row runs: the gauge of Triton's breaker, and a control that needs no side."""

    backend: Backend
    gauges: list[tuple[float, float]] = field(default_factory=list)  # when it was asked for, and what it said
    control_s: list[float] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(base_url=self.backend.url, timeout=30, trust_env=False) as client:
            while not self._ending.wait(LOOK_S):
                try:
                    self._look(client)
                except httpx.HTTPError:
                    continue  # the row has ended it

    def _look(self, client: httpx.Client) -> None:
        began = time.time()
        client.get("/health/live")
        self.control_s.append(time.time() - began)
        asked = time.time()
        lines = client.get("/metrics").text.splitlines()
        found = [
            line
            for line in lines
            if line.startswith('detector_breaker_state{backend="triton",detector="yolo26"}')
        ]
        if found:
            self.gauges.append((asked, float(found[0].rpartition(" ")[2])))

    def end(self) -> None:
        self._ending.set()


@contextmanager
def watched(backend: Backend) -> Iterator[Watch]:
    watch = Watch(backend)
    with running(watch.run, watch.end, 40):
        yield watch


def judge(trial: Trial, watch: Watch, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    """Fills what was wrong and the figures of a trial that has ended."""
    asked = trial.asked
    marks = {
        "answered": lambda: _answered(trial, asked),
        "right": lambda: _right(trial, asked),
        "reasons": lambda: _reasons(trial, asked),
        "in time": lambda: _in_time(trial, asked, watch),
        "counted": lambda: _counted(trial, asked, before, after),
        "breaker": lambda: _breaker(trial, asked, watch, after),
        "recovered": lambda: _recovered(trial, asked),
    }
    for name, mark in marks.items():
        if name not in trial.row.excused:
            mark()
    _note(trial, asked, watch)


def _answered(trial: Trial, asked: list[Asked]) -> None:
    lost = trial.load.sent - len(asked)
    trial.require(lost == 0, "answered", f"{lost} requests have no record")
    bad = [one for one in asked if one.reply.status not in trial.row.statuses]
    trial.require(not bad, "answered", f"{len(bad)} of {len(asked)}: {_few(bad)}")


def _right(trial: Trial, asked: list[Asked]) -> None:
    wrong = [one for one in asked if one.reply.status == 200 and not one.right]
    trial.require(
        not wrong, "right", f"{len(wrong)} show something else: {[one.reply.document for one in wrong[:2]]}"
    )


def _reasons(trial: Trial, asked: list[Asked]) -> None:
    seen = {one.reply.fallback_reason for one in asked if one.reply.fallback_reason}
    odd = seen - trial.row.reasons - SLOWED
    trial.require(not odd, "reasons", f"{sorted(odd)} among {sorted(seen)}")


def _in_time(trial: Trial, asked: list[Asked], watch: Watch) -> None:
    deadline_s = float(trial.house.backend.variables["DETECT_DEADLINE_S"])
    longest_s = max((one.reply.took_s for one in asked), default=0.0)
    allowed_s = deadline_s + OVER_S + max(watch.control_s, default=0.0)
    trial.require(longest_s <= allowed_s, "in time", f"{longest_s:.3f} s, allowed {allowed_s:.3f} s")


def _counted(
    trial: Trial, asked: list[Asked], before: Mapping[str, float], after: Mapping[str, float]
) -> None:
    told = {line: after[line] - before.get(line, 0.0) for line in after if line.startswith("detector_")}
    ours = Counter(one.reply.side for one in asked if one.reply.status == 200)
    theirs: Counter[Any] = Counter()
    for line, value in told.items():
        if line.startswith("detector_requests_total{") and 'outcome="ok"' in line:
            theirs[_label(line, "backend")] += int(value)
    trial.require(
        +theirs == +ours, "counted", f"served: the metrics say {dict(theirs)}, the callers {dict(ours)}"
    )
    fell = sum(1 for one in asked if one.reply.status == 200 and one.reply.fallback_reason)
    fallbacks = sum(value for line, value in told.items() if line.startswith("detector_fallbacks_total{"))
    failed = sum(1 for one in asked if one.reply.status != 200)
    trial.require(
        fell <= fallbacks <= fell + failed,
        "counted",
        f"fallbacks: the metrics say {fallbacks:g}, the callers {fell}",
    )


def _label(line: str, name: str) -> str:
    return line.partition(f'{name}="')[2].partition('"')[0]


def _breaker(trial: Trial, asked: list[Asked], watch: Watch, after: Mapping[str, float]) -> None:
    gauge = after.get('detector_breaker_state{backend="triton",detector="yolo26"}', CLOSED)
    trial.require(gauge == CLOSED, "breaker", f"its gauge says {gauge:g} at the end")
    open_between = [(at, then) for (at, was), (then, now) in pairwise(watch.gauges) if was == now == OPEN]
    passed = [
        one for one in asked
        if one.reply.side == "triton"
        and any(at + LOOK_S < one.reply.began and one.reply.ended < then for at, then in open_between)
    ]  # fmt: skip
    trial.require(not passed, "breaker", f"served by Triton while its gauge said open: {_few(passed)}")


def _recovered(trial: Trial, asked: list[Asked]) -> None:
    last = trial.row.last or trial.row.first
    latest = sorted(asked, key=lambda one: one.reply.began)[-10:]
    well = all(one.reply.side == last and not one.reply.fallback_reason for one in latest)
    trial.require(well, "recovered", f"at the end: {_few(latest)}")


def _note(trial: Trial, asked: list[Asked], watch: Watch) -> None:
    took = sorted(one.reply.took_s for one in asked)
    trial.note(
        requests=len(asked),
        served=dict(Counter(str(one.reply.side) for one in asked if one.reply.status == 200)),
        statuses=dict(Counter(str(one.reply.status) for one in asked)),
        reasons=dict(Counter(one.reply.fallback_reason for one in asked if one.reply.fallback_reason)),
        longest_ms=round(1000 * took[-1]) if took else None,
        median_ms=round(1000 * took[len(took) // 2], 1) if took else None,
        control_ms=round(1000 * max(watch.control_s, default=0.0)),
        recovery_s=_recovery_s(trial, asked),
    )


def _recovery_s(trial: Trial, asked: list[Asked]) -> float | None:
    """From the mend to the first request that the right side served by itself."""
    if not trial.mended_at:
        return None
    last = trial.row.last or trial.row.first
    well = [
        one.reply.began for one in asked
        if one.reply.began >= trial.mended_at and one.reply.side == last and not one.reply.fallback_reason
    ]  # fmt: skip
    return round(min(well) - trial.mended_at, 2) if well else None


def _few(asked: list[Asked]) -> list[str]:
    return [f"{words_of(one)} after {one.reply.took_s:.3f} s" for one in asked[:FEW]]
