"""Rules of a random run: the flags are obeyed, at once and by everybody; what is counted adds up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from tests.chaos.random_decisions import (
    OFF,
    bucket_of,
    decided,
    first_choice,
    is_rolled_back,
    may_help,
)
from tests.chaos.random_deeds import Deed
from tests.chaos.random_faults import BY_NAME
from tests.chaos.random_load import Asked
from tests.chaos.random_record import WELL_AGAIN_S, Check, Line, Record, label

OBEYED_S = 1.0  # design, promise 3
SIDES = ("triton", "legacy")
FAILED = re.compile(
    r"(?:^|; )(triton|legacy): (\w+)"
)  # in what the log says of a request: who failed it, and why


def decisions(check: Check) -> None:
    """Each one follows from the flag version that it names."""
    rule, record = "decided by its flag version", check.record
    for one, line in record.told:
        right = bucket_of(line.request_id)
        check.require(line.bucket == right, rule, f"its bucket is {right}, not {line.bucket}", one)
        state = record.states.get(line.flag_version)
        if line.reason in ("KILL_SWITCH", "COLD_START", "STALE"):
            check.require(_may_be(record, line.reason, one), rule, f"no reason for {line.reason}", one)
        elif state is None:
            check.require(False, rule, f"nobody made version {line.flag_version}", one)
        else:
            reason = decided(line, state)[1]
            check.require(line.reason == reason, rule, f"it says {line.reason}, its flags {reason}", one)


def _may_be(record: Record, reason: str, one: Asked) -> bool:
    name = "kill switch" if reason == "KILL_SWITCH" else "store locked"
    slack_s = OBEYED_S + record.control_s(one.sent, one.ended)
    return any(deed.name == name for deed in record.deeds_between(one.sent, one.ended, slack_s))


def sides(check: Check) -> None:
    """Served by the side that it was decided for, or by the other for a reason that was there."""
    rule, record = "served by an allowed side", check.record
    for one, line in record.told:
        if (state := record.states.get(line.flag_version)) is None:
            continue
        first = first_choice(line, state)
        helpers = may_help(first, line, state, record.facts["fallback"])
        for side, reason in FAILED.findall(line.error or ""):
            may = side in (first, *helpers) or reason == "flag_changed"
            check.require(may, rule, f"{side} was asked, decided for {first}: {line.error}", one)
        if line.fallback_reason is None:
            check.require(
                line.side in (first, None), rule, f"decided for {first}, served by {line.side}", one
            )
            continue
        allowed = _excused(record, first, one)
        check.require(
            line.fallback_reason in allowed, rule, f"{line.fallback_reason} of {first}, for no reason", one
        )
        served = line.side is None or line.side in helpers or line.side == first
        check.require(served, rule, f"served by {line.side} in place of {first}", one)


def _excused(record: Record, first: str, one: Asked) -> frozenset[str]:
    """What the faults of that time explain."""
    reasons = record.busy_reasons(one)
    for deed in record.broken(first, one.sent, one.ended):
        reasons |= BY_NAME[deed.name].reasons
    for deed in record.deeds_between(one.sent, one.ended, WELL_AGAIN_S):
        if not BY_NAME[deed.name].side:
            reasons |= BY_NAME[deed.name].reasons
    return reasons | {"flag_changed"} if _flags_moved(record, one) else reasons


def _flags_moved(record: Record, one: Asked) -> bool:
    slack_s = OBEYED_S + record.control_s(one.sent, one.ended)
    by_history = any(one.sent - slack_s <= change["at"] <= one.ended for change in record.history)
    return by_history or any(
        deed.name == "kill switch" for deed in record.deeds_between(one.sent, one.ended, slack_s)
    )


def rolled_back(check: Check) -> None:
    """Nothing that is sent after a rollback was acknowledged is served by Triton, but by a later version in which
    somebody has lifted it: given Triton a share again, or its pins, after which it may help as before."""
    record = check.record
    for deed in acknowledged(record, "rollback"):
        version, since = deed.outcome["version"], deed.outcome["answered"]
        lifting = [
            change for change in record.history
            if change["version"] > version and not is_rolled_back(change["after"])
        ]  # fmt: skip
        for one, line in record.told:
            if one.sent <= since or line.side != "triton":
                continue
            words = f"sent {one.sent - since:.3f} s after rollback {version} was acknowledged"
            lifted = lifting and lifting[0]["version"] <= line.flag_version and lifting[0]["at"] <= one.ended
            check.require(bool(lifted), "nothing after a rollback", words, one)


def acknowledged(record: Record, name: str) -> Sequence[Deed]:
    return [deed for deed in record.named(name) if deed.outcome.get("status") == 200]


def obeyed(check: Check) -> None:
    """A change that was answered is obeyed by all within a second, a rollback at once; a kill switch likewise."""
    record = check.record
    since: list[tuple[float, int]] = []
    for deed in record.deeds:
        for outcome in (deed.outcome, deed.outcome.get("again", {})):
            if outcome.get("status") == 200:
                patience_s = 0.0 if deed.name == "rollback" else OBEYED_S
                since.append((outcome["answered"] + patience_s, outcome["version"]))
    for one, line in record.told:
        slack_s = record.control_s(one.sent, one.ended)
        least = max((version for at, version in since if at + slack_s < one.sent), default=0)
        words = f"decided by version {line.flag_version}, and {least} was acknowledged"
        check.require(line.flag_version >= least, "obeyed at once", words, one)
        _require_off(check, one, line, slack_s)


def _require_off(check: Check, one: Asked, line: Line, slack_s: float) -> None:
    for deed in check.record.named("kill switch"):
        if deed.in_force + OBEYED_S + slack_s < one.sent and one.ended < deed.ending:
            words = f"{line.reason}, served by {line.side}, with the kill switch thrown"
            off = line.reason in OFF and line.side != "triton"
            check.require(off, "obeyed at once", words, one)


def history(check: Check) -> None:
    """Its versions go up one by one; each says who and why, and begins where the last one ended."""
    rule, changes = "the history is whole", check.record.history
    for change in changes:
        check.require(
            bool(change["who"]) and bool(change["reason"]), rule,
            f"version {change['version']} by {change['who']!r}, because {change['reason']!r}",
        )  # fmt: skip
    for last, change in pairwise(changes):
        told = f"version {change['version']} after {last['version']}"
        check.require(change["version"] == last["version"] + 1, rule, told)
        check.require(change["before"] == last["after"], rule, f"{told} begins with another state")


# --- counters ---------------------------------------------------------------------------------------------


def counted(check: Check) -> None:
    """The counters are those of the log and of the callers. What a killed worker had counted stays; what it had
    begun may be in none of them."""
    _requests(check)
    _fallbacks(check)
    _attempts(check)


def _requests(check: Check) -> None:
    record, rule = check.record, "counted"
    metrics: Counter[tuple[str, str]] = Counter()
    for line, value in _lines(record, "detector_requests_total{"):
        metrics[label(line, "backend"), label(line, "outcome")] += round(value)
    logged = Counter((line.side or "none", line.outcome) for line in record.lines)
    slack = sum(map(record.near_a_death, record.asked))
    for key in {*metrics, *logged}:
        words = f"{' '.join(key)}: the metrics say {metrics[key]}, the log {logged[key]}"
        check.require(logged[key] <= metrics[key] <= logged[key] + slack, rule, words)
    callers = Counter(one.side for one in record.asked if one.status == 200)
    gone = sum(1 for one in record.asked if one.status == 0)
    for side in SIDES:
        served = metrics[side, "ok"]
        words = f"served by {side}: the metrics say {served}, the callers {callers[side]}"
        check.require(callers[side] <= served <= callers[side] + gone, rule, words)


def _fallbacks(check: Check) -> None:
    """Of those that were served in another's place each is one; of those that failed, some."""
    record = check.record
    metrics: Counter[str] = Counter()
    for line, value in _lines(record, "detector_fallbacks_total{"):
        metrics[label(line, "reason")] += round(value)
    fell = Counter(
        line.fallback_reason for line in record.lines if line.outcome == "ok" and line.fallback_reason
    )
    unsure = Counter(line.fallback_reason for line in record.lines if line.outcome != "ok")
    slack = sum(map(record.near_a_death, record.asked))
    for reason in {*metrics, *fell}:
        words = f"fallbacks for {reason}: the metrics say {metrics[reason]}, the log {fell[reason]}"
        most = fell[reason] + unsure[reason] + unsure[None] + slack
        check.require(fell[reason] <= metrics[reason] <= most, "counted", words)


def _attempts(check: Check) -> None:
    """Of callers and of probes together no fewer than those of callers."""
    record = check.record
    metrics = sum(value for _, value in _lines(record, "detector_attempts_total{"))
    lost = {one.number for one in record.asked if record.near_a_death(one)}
    logged = sum(line.attempts for line in record.lines if line.number not in lost)
    words = f"attempts: the metrics say {metrics:g}, the log at least {logged}"
    check.require(metrics >= logged, "counted", words)


def _lines(record: Record, name: str) -> list[tuple[str, float]]:
    return [
        (line, value) for line, value in record.counted.items()
        if line.startswith(name) and 'detector="yolo26"' in line
    ]  # fmt: skip


RULES = (decisions, sides, rolled_back, obeyed, history, counted)
