"""Rows: legacy serves everything and dies, stops, hangs, restarts; and both sides at once."""

from __future__ import annotations

import os
import signal

from tests.chaos.load import Asked
from tests.chaos.row import Row, Trial, Without
from tests.chaos.striking import share_s, strike

AT_ZERO = {"TRITON_TRAFFIC_FRACTION": "0"}
ALONE = {**AT_ZERO, "FALLBACK": "none"}
EITHER = {**AT_ZERO, "FALLBACK": "both"}
UNHURRIED = {"each_s": 0.015}  # one picture after the other: 50 a second keep it busy
AWAY_S = 2.0
HANG_S = 7.0  # three deadlines: who is let in now and then without a breaker is seen to wait
SETTLED_S = 1.0  # after the deadline that the first ones wait for: by then its breaker is open
REFUSED_S = 0.05

TOLD = frozenset({200, 503})
TOLD_OR_LATE = TOLD | {504}
NOBODY_ELSE = frozenset({"unavailable", "deadline_exceeded", "breaker_open", "full", "pace"})
EMPTY = Without("errors that are told as errors", patches=("errors that are told",), fails="right")
NO_BREAKER = Without("the breaker", patches=("the breaker",), fails="nobody waits")


def kill_legacy(trial: Trial) -> None:
    trial.house.legacy_orders.give(UNHURRIED)
    strike(trial, trial.house.legacy.kill)
    trial.lasting(AWAY_S)
    trial.house.legacy.start()
    trial.mended()
    trial.until_served_by("legacy")
    _judge_refusals(trial, trial.broke_at)


def restart_legacy(trial: Trial) -> None:
    """Asked to end: what it has begun it answers."""
    trial.house.legacy_orders.give(UNHURRIED)
    strike(trial, trial.house.legacy.stop)
    trial.house.legacy.start()
    trial.mended()
    trial.until_served_by("legacy")
    _judge_refusals(trial, trial.broke_at)


def hang_legacy(trial: Trial) -> None:
    """The first ones wait for their deadline; from then on nobody waits."""
    trial.house.legacy_orders.give(UNHURRIED)
    pid = trial.house.legacy.pid
    strike(trial, lambda: os.kill(pid, signal.SIGSTOP))
    try:
        trial.lasting(HANG_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    trial.mended()
    trial.until_served_by("legacy")
    settled_at = _settled_at(trial)
    late = [one for one in trial.load.since(settled_at) if one.reply.status == 504]
    trial.require(
        not late, "nobody waits", f"{len(late)} waited for their deadline when it was long known to hang"
    )
    _judge_refusals(trial, settled_at)


def kill_legacy_beside_triton(trial: Trial) -> None:
    trial.house.legacy_orders.give(UNHURRIED)
    strike(trial, trial.house.legacy.kill)
    trial.until_falling_back("triton")
    trial.house.legacy.start()
    trial.mended()
    trial.until_served_by("legacy")


def hang_legacy_beside_triton(trial: Trial) -> None:
    """Whoever is asked first at 0 % may take the whole deadline: the first ones are late, and nobody after them."""
    hang_legacy(trial)
    after = [one for one in trial.load.since(_settled_at(trial)) if one.reply.began < trial.mended_at]
    missed = [one for one in after if one.reply.side != "triton"]
    trial.require(not missed, "taken over", f"{len(missed)} of {len(after)} were not served by Triton")
    trial.note(taken_over=len(after))


def lose_both(trial: Trial) -> None:
    """Then legacy comes back, then Triton."""
    house = trial.house
    strike(trial, house.triton.kill)
    house.legacy.kill()
    trial.load.until(
        lambda latest: all(one.reply.status == 503 for one in latest), "somebody serves", patience_s=trial.patience_s
    )  # fmt: skip
    _judge_refusals(trial, trial.broke_at)
    house.legacy.start()
    trial.until_falling_back()
    house.triton.start()
    trial.mended()
    trial.until_served_by("triton")


def _settled_at(trial: Trial) -> float:
    return trial.broke_at + float(trial.house.backend.variables["DETECT_DEADLINE_S"]) + SETTLED_S


def _judge_refusals(trial: Trial, since: float) -> None:
    """Typed, with a word when to come back; and quick, beside what it takes to be served."""
    refused = [one for one in trial.load.since(since) if one.reply.status in {503, 504}]
    untyped = [one for one in refused if not _is_typed(one)]
    trial.require(not untyped, "typed", f"{len(untyped)} of {len(refused)}: {untyped[:2]}")
    served = [one for one in trial.asked if one.reply.status == 200]
    took_s, allowed_s = share_s(refused, 0.9), REFUSED_S + share_s(served, 0.9)
    trial.require(
        took_s <= allowed_s,
        "refused at once",
        f"nine of ten within {took_s:.3f} s, allowed {allowed_s:.3f} s",
    )
    trial.note(refused=len(refused), refused_ms=round(1000 * took_s))


def _is_typed(one: Asked) -> bool:
    reply = one.reply
    is_problem = reply.headers.get("content-type", "").startswith("application/problem+json")
    told = reply.document.get("status") == reply.status and "detections" not in reply.document
    return is_problem and told and (reply.status != 503 or "retry-after" in reply.headers)


ROWS: tuple[Row, ...] = (
    Row(
        "both sides killed, legacy back, Triton back", "processes", "an outage is told; who is back serves",
        lose_both, EMPTY, NOBODY_ELSE, statuses=TOLD_OR_LATE,
    ),
    Row(
        "legacy killed at 0 %", "processes", "an outage never reads as an empty scene",
        kill_legacy, EMPTY, NOBODY_ELSE, TOLD, AT_ZERO, first="legacy",
    ),
    Row(
        "legacy asked to end at 0 %, and started again", "processes", "what it has begun it answers, the rest is told",
        restart_legacy, EMPTY, NOBODY_ELSE, TOLD, AT_ZERO, first="legacy",
    ),
    Row(
        "legacy stands still at 0 %", "processes", "after the first deadline nobody waits for it",
        hang_legacy, NO_BREAKER, NOBODY_ELSE, TOLD_OR_LATE, AT_ZERO, first="legacy",
    ),
    Row(
        "legacy killed at 0 %, FALLBACK=none", "processes", "an outage never reads as an empty scene",
        kill_legacy, EMPTY, NOBODY_ELSE, TOLD, ALONE, first="legacy",
    ),
    Row(
        "legacy stands still at 0 %, FALLBACK=none", "processes", "after the first deadline nobody waits for it",
        hang_legacy, NO_BREAKER, NOBODY_ELSE, TOLD_OR_LATE, ALONE, first="legacy",
    ),
    Row(
        "legacy killed at 0 %, FALLBACK=both", "processes", "Triton answers",
        kill_legacy_beside_triton, Without("Triton as the fallback", {"FALLBACK": "legacy"}), NOBODY_ELSE,
        variables=EITHER, first="legacy",
    ),
    Row(
        "legacy stands still at 0 %, FALLBACK=both", "processes", "after the first deadline Triton answers",
        hang_legacy_beside_triton, Without("Triton as the fallback", {"FALLBACK": "legacy"}, fails="taken over"),
        NOBODY_ELSE, TOLD_OR_LATE, EITHER, first="legacy",
    ),
)  # fmt: skip
