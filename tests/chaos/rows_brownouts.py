"""Rows: a side that fails some or all of the time is not stormed for it, and nobody pays."""

from __future__ import annotations

import time
from pathlib import Path

from tests.chaos.house import MODEL, QUICK
from tests.chaos.row import Row, Trial, Without
from tests.chaos.rows_floods import FULL, at_rest, holds_soon

# --- a side that fails ------------------------------------------------------------------------------------

FEW_RETRIES_PER_S = 1.0
NO_BREAKER = {"BREAKER_FAILURES": "100000", "BREAKER_LEAST": "100000"}
RETRIES = "3"
SHARE, SAVED_REQUESTS, SAVED_S = 0.2, 100, 10.0  # the budget, and what it has saved up
STORM_OF_RETRIES_S = 5.0


def retries_storm(trial: Trial) -> None:
    """Each call says UNAVAILABLE, which is tried again; no breaker ends it."""
    at_rest(trial)
    before, asked_before, began = trial.house.triton.asked_of(MODEL), trial.load.sent, time.time()
    trial.house.triton_orders.give({**QUICK, "error": "UNAVAILABLE"})
    trial.broken()
    trial.load.per_s = trial.row.per_s
    trial.until_falling_back()
    trial.lasting(STORM_OF_RETRIES_S)
    at_rest(trial)
    attempts = trial.house.triton.asked_of(MODEL) - before
    requests, lasted_s = trial.load.sent - asked_before, time.time() - began
    trial.house.heal()
    trial.mended()
    trial.load.per_s = trial.row.per_s
    trial.until_served_by("triton")
    reserve = SHARE * SAVED_REQUESTS + FEW_RETRIES_PER_S * (lasted_s + SAVED_S)
    allowed = (1 + SHARE) * requests + reserve
    trial.note(attempts=attempts, requests_in_it=requests, allowed=round(allowed))
    trial.require(
        attempts > requests, "retries", f"{attempts:g} attempts for {requests} requests: nothing was retried"
    )
    trial.require(
        attempts <= allowed, "attempts", f"{attempts:g} for {requests} requests, allowed {allowed:.0f}"
    )


BROWNOUTS = 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5
BROWNOUT_S = 0.9


def brownouts(trial: Trial) -> None:
    trial.broken()
    fallen = dict[str, int]()
    for share in BROWNOUTS:
        began = time.time()
        trial.house.triton_orders.give({**QUICK, "error": "INTERNAL", "share": share})
        trial.lasting(BROWNOUT_S)
        latest = trial.load.since(began)
        fallen[f"{share:.0%}"] = sum(1 for one in latest if one.reply.fallback_reason)
    trial.house.heal()
    trial.mended()
    trial.note(fell_back=fallen)
    trial.require(sum(fallen.values()) > 0, "brownout", "nothing failed")
    trial.until_served_by("triton")


# --- standing up again ------------------------------------------------------------------------------------

HARD_S = 0.3  # of one execution, so that whoever else comes meanwhile is in the next one
WATCHED_S = 3.0


def no_stampede(trial: Trial) -> None:
    """What Triton is given while the breaker is not closed is one picture at a time, and none of a caller's."""
    seen = trial.house.triton_orders.file.with_suffix(".seen")
    seen.unlink(missing_ok=True)
    trial.house.triton_orders.give({**QUICK, "error": "INTERNAL"})
    trial.broken()
    trial.until_falling_back()
    trial.house.triton_orders.give({"takes_s": HARD_S, "error": "INTERNAL", "notes": True})
    trial.lasting(WATCHED_S)
    trial.house.triton_orders.give({"takes_s": HARD_S, "notes": True})
    trial.mended()
    holds_soon(trial, lambda: closed_at(trial) > trial.mended_at, "closed", "the breaker never closed")
    trial.house.heal()
    judge_probes(trial, seen, max(closed_at(trial), trial.mended_at))
    trial.until_served_by("triton")


def closed_at(trial: Trial) -> float:
    lines = trial.house.backend.lines("breaker")
    return max(
        (one["at"] for one in lines if one["to"] == "closed" and one["backend"] == "triton"), default=0.0
    )


def judge_probes(trial: Trial, seen: Path, closed_at: float) -> None:
    executions = [line.split() for line in seen.read_text().splitlines()]
    probes = [int(requests) for began, requests in executions if float(began) < closed_at]
    trial.note(probes=len(probes), most_at_once=max(probes, default=0))
    trial.require(len(probes) >= 3, "probed", f"{len(probes)} probes before it closed")
    trial.require(
        max(probes, default=0) <= 1,
        "one at a time",
        f"it was given {probes} while its breaker was not closed",
    )


ROWS: tuple[Row, ...] = (
    Row(
        "brownouts of 1 to 50 %", "floods", "who meets an error is served by legacy",
        brownouts, Without("the fallback", {"FALLBACK": "none"}),
        frozenset({"server_error", "breaker_open"}),
    ),
    Row(
        "Triton stands up again", "floods", "a side that was away is asked by one probe at a time, by no caller",
        no_stampede, Without("probes before callers", patches=("probes before callers",), fails="one at a time"),
        frozenset({"server_error", "breaker_open"}) | FULL,
    ),
    Row(
        "retries by the hundred", "floods", "a side that fails every call is not called much more often",
        retries_storm, Without("the retry budget", {"RETRY_BUDGET_PER_S": "10000"}, fails="attempts"),
        frozenset({"unavailable"}),
        variables={**NO_BREAKER, "RETRY_BUDGET_PER_S": str(FEW_RETRIES_PER_S), "TRITON_MAX_RETRIES": RETRIES},
        quick=True,
    ),
)  # fmt: skip
