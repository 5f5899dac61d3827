"""The check of a random run finds what is planted in a small made-up one, and excuses what has an excuse."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backend.rollout.flags import FRACTION_SALT
from backend.rollout.flags import bucket_of as bucket_of_the_backend
from backend.rollout.state import RolloutState
from tests.chaos import random_check
from tests.chaos.lies import LIES
from tests.chaos.random_acts import ACTS, BEHAVIOURS
from tests.chaos.random_decisions import bucket_of
from tests.chaos.random_deeds import Deed
from tests.chaos.random_faults import BY_NAME, LIES_SEEN, plan_of
from tests.chaos.random_load import PATIENT_S, Asked
from tests.chaos.random_record import Record

T0 = 1_800_000_000.0
EACH_S = 0.5
REQUESTS = 60
TOOK_S = 0.02
DEADLINE_S = 2.0

Plant = Callable[["Made"], None]


@dataclass
class Made:
    """A run in which everything is right: half the requests to Triton, by version 1."""

    asked: list[Asked] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)  # that the log tells
    untold: set[int] = field(default_factory=set)  # without a line
    twice: set[int] = field(default_factory=set)
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)  # what a line says otherwise
    deeds: list[Deed] = field(default_factory=list)
    controls: list[tuple[float, float]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # what the metrics say beyond the lines
    fallback: str = "legacy"
    log: list[dict[str, Any]] = field(default_factory=list)  # beside the requests' lines

    def __post_init__(self) -> None:
        self.move(-10, fraction=0.5)
        self.say("info", "the store of the flags is back")
        self.asked = [self._served(number) for number in range(REQUESTS)]
        self.controls = [(T0 + number * 0.1, 0.003) for number in range(int(REQUESTS * EACH_S * 10))]

    def _served(self, number: int) -> Asked:
        request_id, sent = f"request-{number}", T0 + number * EACH_S
        bucket = bucket_of(request_id)
        return Asked(
            number, "cam-1", 3, PATIENT_S, T0 - 1, sent, sent + TOOK_S, 200, request_id=request_id, bucket=bucket,
            side="triton" if bucket < 50_000 else "legacy", reason="FRACTION", attempts=1, flag_version=1, shows=3,
        )  # fmt: skip

    # --- what is planted ----------------------------------------------------------------------------------

    def of_side(self, side: str, place: int = 0, after_s: float = 10.0) -> int:
        """The number of such a request."""
        return [one.number for one in self.asked if one.side == side and one.sent > T0 + after_s][place]

    def change(self, number: int, error: str = "", **words: Any) -> None:
        self.asked[number] = replace(self.asked[number], **words)
        if error:
            self.errors[number] = error

    def fail(self, number: int, status: int, error: str, **words: Any) -> None:
        told = {"retry_after": "1"} if status == 503 else {}
        fields = {"status": status, "shows": None, "problem": True, **told, **words}
        self.change(number, error, fallback_reason="unavailable", **fields)

    def move(self, after_s: float, who: str = "admin", reason: str = "because", **flags: Any) -> int:
        """A change of the flags."""
        before = deepcopy(self.history[-1]["after"]) if self.history else None
        version = len(self.history) + 1
        after = RolloutState(version=version).to_table() | (before or {}) | flags | {"version": version}
        row = {"version": version, "at": T0 + after_s, "who": who, "reason": reason}
        self.history.append({**row, "before": before, "after": json.loads(json.dumps(after))})
        return version

    def deed(self, name: str, after_s: float, lasts_s: float = 1.0, **outcome: Any) -> None:
        began, ended = T0 + after_s, T0 + after_s + lasts_s
        self.deeds.append(Deed("sides", name, {}, began, began, ended, ended, outcome))

    def acknowledge(self, name: str, after_s: float, version: int) -> None:
        self.deed(name, after_s - 0.1, 0.1, status=200, version=version, answered=T0 + after_s)

    def say(self, level: str, message: str) -> None:
        head = {"ts": "2027-01-15T08:00:00.000Z", "level": level, "event": "log"}
        self.log.append({**head, "logger": "backend", "message": message, "trace": None})

    # --- what is left of it -------------------------------------------------------------------------------

    def write(self, folder: Path) -> None:
        told = [one for one in self.asked if one.number not in self.untold]
        lines = [self._line(one) for one in (*told, *(self.asked[number] for number in self.twice))]
        facts = {
            "sent": REQUESTS,
            "deadline_s": DEADLINE_S,
            "fallback": self.fallback,
            "detector": "yolo26",
        }
        (folder / "facts.json").write_text(json.dumps(facts))
        _write(folder / "requests.jsonl", [asdict(one) for one in self.asked])
        _write(folder / "deeds.jsonl", [asdict(deed) for deed in self.deeds])
        controls = [{"at": at, "took_s": took, "answered": True} for at, took in self.controls]
        _write(folder / "controls.jsonl", controls)
        _write(folder / "history.jsonl", self.history)
        _write(folder / "backend.log", [*lines, *self.log])
        (folder / "metrics-before.txt").write_text("# HELP nothing\n")
        (folder / "metrics-after.txt").write_text(self._metrics(lines))

    def _line(self, one: Asked) -> dict[str, Any]:
        outcomes = {200: "ok", 503: "unavailable", 504: "late", 0: "gone", 422: "refused"}
        return {
            "event": "request", "ts": datetime.fromtimestamp(one.ended, UTC).isoformat(), "camera": one.camera,
            "client_request_id": str(one.number), "request_id": one.request_id,
            "outcome": outcomes.get(one.status, "failed"), "served_by": one.side if one.status == 200 else None,
            "reason": one.reason, "fallback_reason": one.fallback_reason, "attempts": one.attempts,
            "bucket": one.bucket, "flag_version": one.flag_version, "error": self.errors.get(one.number),
            **self.lines.get(one.number, {}),
        }  # fmt: skip

    def _metrics(self, lines: list[dict[str, Any]]) -> str:
        counts: Counter[str] = Counter()
        for line in lines:
            served_by, outcome = line["served_by"] or "none", line["outcome"]
            counts[
                f'detector_requests_total{{backend="{served_by}",detector="yolo26",outcome="{outcome}"}}'
            ] += 1
            counts[ATTEMPTS] += line["attempts"]
            if line["fallback_reason"] and outcome == "ok":
                counts[FELL.format(line["fallback_reason"])] += 1
        counts.update(self.counts)
        return "".join(f"{line} {count}.0\n" for line, count in counts.items())


ATTEMPTS = 'detector_attempts_total{backend="triton",code="ok",detector="yolo26"}'
SERVED = 'detector_requests_total{{backend="{}",detector="yolo26",outcome="ok"}}'
FELL = 'detector_fallbacks_total{{detector="yolo26",from="triton",reason="{}",to="legacy"}}'


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def broken(folder: Path, *plants: Plant) -> set[str]:
    made = Made()
    for plant in plants:
        plant(made)
    made.write(folder)
    return set(random_check.checked(Record.read(folder)).wrong)


# --- what can be planted ----------------------------------------------------------------------------------


def fell_back(made: Made, reason: str = "unavailable") -> None:
    number = made.of_side("triton")
    made.change(number, f"triton: {reason}", side="legacy", fallback_reason=reason, attempts=2)


def failed(made: Made, status: int = 503) -> None:
    made.fail(made.of_side("triton"), status, "triton: unavailable; legacy: unavailable")


def a_late_failure_of_legacy(made: Made) -> None:
    number = made.of_side("legacy")
    made.fallback = "both"
    made.fail(number, 504, "legacy: deadline_exceeded; triton: deadline_exceeded")
    made.change(number, ended=made.asked[number].sent + DEADLINE_S)


def another_side(made: Made) -> None:
    made.change(made.of_side("triton"), side="legacy")


def switched_off(made: Made) -> None:
    made.change(made.of_side("triton"), reason="KILL_SWITCH", side="legacy")


def a_short_kill_switch(made: Made) -> None:
    made.deed("kill switch", made.asked[made.of_side("triton")].sent - T0 - 0.3, 0.5)


def a_rollback(made: Made, after_s: float = 5.0) -> None:
    """Acknowledged, and obeyed."""
    version = made.move(after_s - 0.1, fraction=0.0, pins_suspended=True)
    made.acknowledge("rollback", after_s, version)
    for one in list(made.asked):
        if one.sent > T0 + after_s:
            made.change(one.number, side="legacy", flag_version=version)


def served_by_triton_after_it(made: Made) -> None:
    """By a worker that had not heard of it: of its old version everything else is right."""
    number = next(one.number for one in made.asked if one.sent > T0 + 10 and one.bucket < 50_000)
    made.change(number, side="triton", flag_version=1)


def a_triton_share_again(made: Made) -> None:
    version = made.move(9.0, fraction=0.5, pins_suspended=False)
    for one in list(made.asked):
        if one.sent > T0 + 9.0:
            side = "triton" if one.bucket < 50_000 else "legacy"
            made.change(one.number, side=side, flag_version=version)


def a_change_that_nobody_heard_of(made: Made) -> None:
    made.acknowledge("set fraction", 5.0, made.move(4.9, fraction=0.5))


def a_pin(made: Made) -> None:
    version = made.move(0.0, pins={"cam-1": "legacy"})
    for one in list(made.asked)[1:]:
        made.change(one.number, side="legacy", flag_version=version, reason="PIN")


def an_answer_without_a_line(made: Made) -> None:
    made.untold.add(20)
    made.counts[SERVED.format(made.asked[20].side)] += 1
    made.counts[ATTEMPTS] += 1


def no_answer(made: Made) -> None:
    made.change(20, status=0, side=None, shows=None, error="ConnectionResetError()")


def another_picture(made: Made) -> None:
    made.change(made.of_side("triton"), shows=7)


def no_picture(made: Made) -> None:
    made.change(made.of_side("triton"), shows=None)


def longer_than_allowed(made: Made) -> None:
    made.change(20, ended=made.asked[20].sent + DEADLINE_S + 0.2)


def a_stall(made: Made) -> None:
    """Of the whole machine, over everything."""
    made.controls = [(at, took) for at, took in made.controls if not 9 <= at - T0 < 17]
    made.controls = sorted([*made.controls, (T0 + 9, 8.0)])


def a_slow_death(made: Made) -> None:
    made.deed("worker killed", 10.01, 0.0)


def a_deed(name: str, after_s: float = 9.0, lasts_s: float = 4.0) -> Plant:
    return lambda made: made.deed(name, after_s, lasts_s)


PLANTED: dict[str, tuple[Plant, ...]] = {
    "a request has no record": (lambda made: made.asked.pop(),),
    "a request has two records": (lambda made: made.asked.append(made.asked[20]),),
    "a patient caller has no answer": (no_answer,),
    "an answer has no line": (an_answer_without_a_line,),
    "an answer has two lines": (lambda made: made.twice.add(20),),
    "the log says another side": (lambda made: made.lines.update({20: {"attempts": 2}}),),
    "the log says that it failed": (lambda made: made.lines.update({20: {"outcome": "late"}}),),
    "a bucket is another": (lambda made: made.change(20, bucket=made.asked[20].bucket ^ 1),),
    "nobody made this version": (lambda made: made.change(20, flag_version=9),),
    "a reason is none of its flags": (lambda made: made.change(20, reason="OVERRIDE"),),
    "a kill switch that nobody threw": (switched_off,),
    "stale flags of a store that is there": (lambda made: made.change(20, reason="STALE"),),
    "served by the side it was not decided for": (another_side,),
    "a pin is not heeded": (a_pin, lambda made: made.change(made.of_side("legacy"), side="triton")),
    "a fallback without a fault": (fell_back,),
    "a fallback with a fault's wrong reason": (fell_back, a_deed("triton lying")),
    "a fallback long after its fault": (fell_back, a_deed("triton killed", 1.0, 1.0)),
    "a fallback to Triton, which FALLBACK forbids": (
        lambda made: made.change(
            made.of_side("legacy"), side="triton", fallback_reason="unavailable", attempts=2
        ),
        a_deed("legacy killed"),
    ),
    "served by Triton after a rollback": (a_rollback, served_by_triton_after_it),
    "a change that a worker never heard of": (a_change_that_nobody_heard_of,),
    "decided for Triton under the kill switch": (a_deed("kill switch", 5.0, 20.0),),
    "a failure with both sides well": (failed,),
    "a failure with legacy well": (failed, a_deed("triton killed")),
    "a failure of legacy that did not hang": (a_late_failure_of_legacy, a_deed("legacy killed")),
    "another's picture": (another_picture,),
    "another's picture, garbled or not": (another_picture, a_deed("triton way: corrupt")),
    "a box of no picture": (no_picture,),
    "later than the deadline": (longer_than_allowed,),
    "503 without Retry-After": (
        lambda made: made.fail(20, 503, "", retry_after=None),
        a_deed("both ways refused"),
    ),
    "503 that is no problem": (
        lambda made: made.fail(20, 503, "", problem=False),
        a_deed("both ways refused"),
    ),
    "500": (lambda made: made.fail(20, 500, "oh"), a_deed("both ways refused")),
    "422 for a good picture": (lambda made: made.fail(20, 422, ""), a_deed("both ways refused")),
    "a version is missing": (
        lambda made: made.move(1.0),
        lambda made: made.move(2.0),
        lambda made: made.history.pop(1),
    ),
    "nobody changed it": (lambda made: made.move(1.0, who=""),),
    "for no reason": (lambda made: made.move(1.0, reason=""),),
    "a change of another state": (
        lambda made: made.move(1.0),
        lambda made: made.history[1]["before"].update(fraction=0.7),
    ),
    "more counted than logged": (lambda made: made.counts.update({SERVED.format("triton"): 1}),),
    "less counted than logged": (lambda made: made.counts.update({SERVED.format("triton"): -1}),),
    "a fallback that was not counted": (
        fell_back,
        a_deed("triton killed"),
        lambda made: made.counts.update({FELL.format("unavailable"): -1}),
    ),
    "a fallback that was counted twice": (
        fell_back,
        a_deed("triton killed"),
        lambda made: made.counts.update({FELL.format("unavailable"): 1}),
    ),
    "Triton was asked, which FALLBACK forbids": (
        lambda made: made.fail(made.of_side("legacy"), 503, "legacy: unavailable; triton: unavailable"),
        a_deed("both ways refused"),
    ),
    "the backend met what it has no name for": (lambda made: made.say("error", "LegacyTransport failed"),),
    "fewer attempts than were made": (lambda made: made.counts.update({ATTEMPTS: -1}),),
}
RULE = {
    "one answer each": ("a request has no record", "a request has two records", "a patient caller has no answer"),
    "one line each": ("an answer has no line", "an answer has two lines"),
    "log and answer agree": ("the log says another side", "the log says that it failed", "500"),
    "decided by its flag version": (
        "a bucket is another", "nobody made this version", "a reason is none of its flags",
        "a kill switch that nobody threw", "stale flags of a store that is there",
    ),
    "served by an allowed side": (
        "served by the side it was not decided for", "a pin is not heeded", "a fallback without a fault",
        "a fallback with a fault's wrong reason", "a fallback long after its fault",
        "a fallback to Triton, which FALLBACK forbids", "Triton was asked, which FALLBACK forbids",
    ),
    "no error that has no name": ("the backend met what it has no name for",),
    "nothing after a rollback": ("served by Triton after a rollback",),
    "obeyed at once": ("a change that a worker never heard of", "decided for Triton under the kill switch"),
    "kept": (
        "a failure with both sides well", "a failure with legacy well", "a failure of legacy that did not hang",
    ),
    "its own picture": ("another's picture", "another's picture, garbled or not", "a box of no picture"),
    "in time": ("later than the deadline",),
    "typed": ("503 without Retry-After", "503 that is no problem", "422 for a good picture"),
    "the history is whole": (
        "a version is missing", "nobody changed it", "for no reason", "a change of another state",
    ),
    "counted": (
        "more counted than logged", "less counted than logged", "a fallback that was not counted",
        "a fallback that was counted twice", "fewer attempts than were made",
    ),
}  # fmt: skip
EXCUSED: dict[str, tuple[Plant, ...]] = {
    "no answer: its worker was killed": (no_answer, a_slow_death),
    "no line: its worker was killed": (an_answer_without_a_line, a_slow_death),
    "a fallback from what was killed": (fell_back, a_deed("triton killed")),
    "a fallback soon after": (fell_back, a_deed("triton killed", 6.0, 1.0)),
    "a fallback of a busy machine": (lambda made: fell_back(made, "deadline_exceeded"), a_stall),
    "a fallback since the store was away": (
        lambda made: fell_back(made, "flag_changed"), a_deed("store locked"),
    ),
    "a fallback to Triton, by FALLBACK=both": (
        *PLANTED["a fallback to Triton, which FALLBACK forbids"], lambda made: setattr(made, "fallback", "both"),
    ),
    "the kill switch": (a_short_kill_switch, switched_off),
    "stale flags of a store that is locked": (
        lambda made: made.change(20, reason="STALE"), a_deed("store locked"),
    ),
    "a rollback that is obeyed": (a_rollback,),
    "a share after a rollback": (a_rollback, a_triton_share_again),
    "a pin": (a_pin,),
    "a failure with both sides broken": (failed, a_deed("both ways refused")),
    "a failure of a machine that stood still": (failed, a_deed("triton killed"), a_stall),
    "a failure of legacy, which hung": (a_late_failure_of_legacy, a_deed("legacy stopped")),
    "a box that was garbled": (no_picture, a_deed("triton way: corrupt")),
    "late, as everything was": (longer_than_allowed, a_stall),
}  # fmt: skip


def test_a_run_in_which_everything_is_right_breaks_no_rule(tmp_path: Path) -> None:
    assert broken(tmp_path) == set()


@pytest.mark.parametrize(("rule", "name"), [(rule, name) for rule, names in RULE.items() for name in names])
def test_what_is_planted_is_found_by_its_rule(tmp_path: Path, rule: str, name: str) -> None:
    assert rule in broken(tmp_path, *PLANTED[name])


@pytest.mark.parametrize("name", EXCUSED)
def test_what_has_an_excuse_breaks_no_rule(tmp_path: Path, name: str) -> None:
    assert broken(tmp_path, *EXCUSED[name]) == set()


def test_each_thing_that_is_planted_has_its_rule_and_each_rule_something_planted(tmp_path: Path) -> None:
    assert sorted(name for names in RULE.values() for name in names) == sorted(PLANTED)
    assert {rule for plants in PLANTED.values() for rule in broken(tmp_path, *plants)} == RULE.keys()


def test_it_tells_the_request_and_what_went_on_around_it_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made()
    failed(made)
    made.deed("triton killed", 9.0, 4.0)
    made.write(tmp_path)
    assert random_check.main([str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "BROKEN: kept (1)" in told
    assert f"request {made.of_side('triton')} of cam-1" in told
    assert ": triton killed" in told
    assert json.loads((tmp_path / "verdict.json").read_text())["broken"] == {"kept": 1}


def test_the_bucket_is_worked_out_as_the_backend_does_it() -> None:
    for name in ("a", "request-7", "0" * 32):
        assert bucket_of(name) == bucket_of_the_backend(FRACTION_SALT, "yolo26", name)


def test_a_seed_is_a_plan_and_another_seed_another(tmp_path: Path) -> None:
    assert plan_of(7, 600) == plan_of(7, 600) != plan_of(8, 600)
    assert json.loads(json.dumps(plan_of(7, 600).to_table()))["seed"] == 7


def test_at_most_one_side_is_broken_at_a_time_and_every_act_can_be_done() -> None:
    for seed in range(20):
        acts = plan_of(seed, 600).of("sides")
        assert all(last.at_s + last.lasts_s < act.at_s for last, act in pairwise(acts))
    ways = {name.partition(" way: ")[2] for name in BY_NAME} - {""}
    assert ways == BEHAVIOURS.keys()
    assert {name for name in BY_NAME if " way: " not in name} == ACTS.keys()
    assert set(LIES_SEEN) <= LIES.keys()
