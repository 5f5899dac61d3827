"""Faults land in the middle of something: at a moment when requests are under way, and how many is a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.chaos.load import Asked
from tests.chaos.row import Trial

UNHURRIED = {"takes_s": 0.05}  # so that at 50 requests a second some are in the model at any moment


def strike(trial: Trial, fault: Callable[[], object], least: int = 1) -> None:
    """At a moment when so many are under way; `fault` ends when it is done, `trial.broke_at` is just before it."""
    trial.until(lambda: trial.load.under_way >= least, f"there never were {least} under way")
    trial.note(struck=trial.figures.get("struck", 0) + trial.load.under_way)
    trial.broken()
    fault()


def under_way_at(moment: float, asked: Iterable[Asked]) -> list[Asked]:
    """Those whose callers waited at this moment (unix time)."""
    return [one for one in asked if one.reply.began < moment < one.reply.ended]


def share_s(asked: Iterable[Asked], share: float) -> float:
    """How long this share of them took at most; no requests, no time."""
    took = sorted(one.reply.took_s for one in asked)
    return took[min(len(took) - 1, int(share * len(took)))] if took else 0.0
