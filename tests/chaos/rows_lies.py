"""Rows: sides that answer in time, with something that is not true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from tests.backends import CLOSED, OPEN
from tests.chaos import legacy_lies, lies
from tests.chaos.engine import Orders
from tests.chaos.footprint import Footprint
from tests.chaos.house import LEGACY_QUICK, QUICK
from tests.chaos.row import Row, Trial, Without

FOUND_OUT = "invalid_model_output"
REASONS = frozenset({FOUND_OUT, "breaker_open"})
LARGE_MAY_TAKE_BYTES = 2 * 64 * 1024 * 1024  # every place on legacy, with twice the 1 MiB that is taken
COMPARISONS = 100  # within which a lie is found that nobody can see
LOOKS_RIGHT = "one answer that looks true cannot be told from the truth: that is the comparison's work"

TO_LEGACY = {"TRITON_TRAFFIC_FRACTION": "0"}
NO_LOOK_AT_TRITON = Without(
    "the look at what Triton answers", patches=("the look at what Triton answers",), fails="right"
)
NO_LOOK_AT_LEGACY = Without(
    "the look at what legacy answers", patches=("the look at what legacy answers",), fails="right"
)


# --- of a model in Triton -----------------------------------------------------------------------------------


def triton_lies(kind: str, trial: Trial) -> None:
    """One lie after the other; each is found out by callers' own requests, and opens the breaker."""
    for name in lies.KINDS[kind]:
        _found_out(trial, "triton", trial.house.triton_orders, {**QUICK, "lie": name})
    trial.until_served_by("triton")
    trial.note(lies=len(lies.KINDS[kind]))


def _found_out(trial: Trial, side: str, orders: Orders, told: dict[str, object]) -> None:
    backend, before = trial.house.backend, _calls_found_out(trial, side)
    trial.broken()
    orders.give(told)
    trial.until(lambda: backend.breaker(side) == OPEN, f"{told['lie']} opens no breaker")
    found = _calls_found_out(trial, side) - before
    trial.require(found > 0, "found out", f"no answer with {told['lie']} was called {FOUND_OUT}")
    trial.house.heal()
    trial.mended()
    trial.until(lambda: backend.breaker(side) == CLOSED, f"the breaker stays open after {told['lie']}")


def _calls_found_out(trial: Trial, side: str) -> float:
    line = f'detector_attempts_total{{backend="{side}",code="{FOUND_OUT}",detector="yolo26"}}'
    return trial.house.backend.metric(line)


def plausible(trial: Trial) -> None:
    """Both agree while both say the truth; a lie makes them differ within so many comparisons."""
    agreed = _within_patience(trial, lambda: _compared(trial, "same") >= 30)
    trial.require(
        agreed and not _compared(trial, "different"), "found", "the sides do not agree from the start"
    )
    found = {name: _comparisons_until_found(trial, name) for name in lies.PLAUSIBLE}
    late = {name: took for name, took in found.items() if took > COMPARISONS}
    trial.require(not late, "found", f"not within {COMPARISONS} comparisons: {late}")
    trial.note(found_after_comparisons=found)


def _comparisons_until_found(trial: Trial, name: str) -> float:
    different, compared = _compared(trial, "different"), _compared(trial)
    trial.house.triton_orders.give({**QUICK, "lie": name})
    found = _within_patience(trial, lambda: _compared(trial, "different") > different)
    took = _compared(trial) - compared
    trial.house.heal()
    _same_again(trial)
    return took if found else float("inf")


def _same_again(trial: Trial) -> None:
    """What was served before the lie ended has been compared."""
    trial.lasting(0.5)
    same = _compared(trial, "same")
    _within_patience(trial, lambda: _compared(trial, "same") >= same + 10)


def _compared(trial: Trial, verdict: str = "") -> float:
    return sum(
        value for line, value in trial.house.backend.metrics().items()
        if line.startswith("shadow_comparisons_total{") and 'detector="yolo26"' in line and verdict in line
    )  # fmt: skip


def _within_patience(trial: Trial, holds: Callable[[], bool]) -> bool:
    ends_at = time.monotonic() + trial.patience_s
    while not (held := holds()) and time.monotonic() < ends_at:
        time.sleep(0.05)
    return held


# --- of a legacy service ------------------------------------------------------------------------------------


def legacy_lies_told(names: Iterable[str], trial: Trial) -> None:
    names = tuple(names)
    for name in names:
        _found_out(trial, "legacy", trial.house.legacy_orders, {**LEGACY_QUICK, "lie": name})
    trial.until_served_by("legacy")
    _require_problems(trial)
    trial.note(lies=len(names))


def _require_problems(trial: Trial) -> None:
    """Whoever had no detections was told so, in the one form that errors have here, and when to come again."""
    bare = [
        one.reply for one in trial.asked
        if one.reply.status == 503
        and (one.reply.headers.get("content-type") != "application/problem+json"
             or "retry-after" not in one.reply.headers or "detections" in one.reply.document)
    ]  # fmt: skip
    trial.require(not bare, "told", f"{len(bare)} were not told so, such as {bare[:1]}")


def large_answers(trial: Trial) -> None:
    before = Footprint.of(trial.house.backend)
    legacy_lies_told(legacy_lies.LARGE, trial)
    grown = before.peak_grown_bytes()
    trial.require(grown <= LARGE_MAY_TAKE_BYTES, "memory", f"it took {grown:,} bytes for answers without end")
    trial.note(peak_grown_mb=round(grown / 1e6))


def both_lie(trial: Trial) -> None:
    trial.broken()
    trial.house.legacy_orders.give({**LEGACY_QUICK, "lie": "an empty scene of no size"})
    trial.house.triton_orders.give({**QUICK, "lie": "all zeros"})
    trial.load.until(
        lambda latest: {one.reply.status for one in latest} == {503},
        "somebody is served",
        patience_s=trial.patience_s,
    )
    trial.house.heal()
    trial.mended()
    trial.until_served_by("triton")
    _require_problems(trial)


ROWS: tuple[Row, ...] = (
    *(
        Row(
            f"a model's lies: {kind}", "lies", "each is found out, legacy answers, the breaker opens",
            partial(triton_lies, kind), NO_LOOK_AT_TRITON, REASONS,
        )
        for kind in lies.KINDS
    ),
    Row(
        "both sides lie", "lies", "a problem, never an empty scene",
        both_lie, NO_LOOK_AT_LEGACY, REASONS, frozenset({200, 503}),
    ),
    Row(
        "a model's lies that look true", "lies", f"the comparison finds each within {COMPARISONS} requests",
        plausible, Without("the comparison", {"TRITON_SHADOW_FRACTION": "0"}, fails="found"),
        variables={"TRITON_SHADOW_FRACTION": "1"}, quick=True, excused={"right": LOOKS_RIGHT},
    ),
    Row(
        "legacy's lies: documents that are none", "lies", "a problem, never an empty scene",
        partial(legacy_lies_told, legacy_lies.DOCUMENTS), NO_LOOK_AT_LEGACY,
        statuses=frozenset({200, 503}), variables=TO_LEGACY, first="legacy",
    ),
    Row(
        "legacy's lies: boxes that cannot be", "lies", "a problem, never an empty scene",
        partial(legacy_lies_told, legacy_lies.BOXES_NO_MODEL_SEES), NO_LOOK_AT_LEGACY,
        statuses=frozenset({200, 503}), variables=TO_LEGACY, first="legacy",
    ),
    Row(
        "legacy's lies: 100 MB, a million boxes", "lies", "none is taken in whole",
        large_answers,
        Without("the bound of an answer", patches=("the bound of an answer",), fails="memory"),
        statuses=frozenset({200, 503}), variables=TO_LEGACY, first="legacy",
    ),
    Row(
        "legacy's lies, and Triton may help", "lies", "Triton answers in its place",
        partial(legacy_lies_told, ("html", "truncated", "score over 1", "an empty scene of no size", "100 MB")),
        Without("the help of the other side", {"FALLBACK": "legacy"}), REASONS,
        variables={**TO_LEGACY, "FALLBACK": "both"}, first="legacy",
    ),
)  # fmt: skip
