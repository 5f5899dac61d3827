"""Rules of a random run: what a caller may rely on, whatever was broken."""

from __future__ import annotations

from collections import Counter

from tests.chaos.random_decisions import first_choice, may_help
from tests.chaos.random_faults import BY_NAME
from tests.chaos.random_load import Asked
from tests.chaos.random_record import BUSY_S, Check, Line, is_patient

OVER_S = 0.05
OUTCOME = {200: ("ok",), 422: ("refused",), 503: ("unavailable", "busy"), 504: ("late",)}
SAME = ("request_id", "side", "reason", "fallback_reason", "attempts", "bucket", "flag_version")


def answered(check: Check) -> None:
    """One answer each; of a caller who hung up, and of one whose worker was killed, none."""
    rule, asked = "one answer each", check.record.asked
    times = Counter(one.number for one in asked)
    lost = set(range(check.record.facts["sent"])) - times.keys()
    check.require(not lost, rule, f"{len(lost)} requests have no record: {sorted(lost)[:5]}")
    for one in asked:
        check.require(times[one.number] == 1, rule, f"{times[one.number]} records", one)
        if one.status == 0 and is_patient(one):
            excused = check.record.died_under(one)
            check.excused["their worker was killed"] += excused
            check.require(excused, rule, f"no answer: {one.error}", one)


def logged(check: Check) -> None:
    """Exactly one line of the log each, and it says what the caller was told."""
    for one in check.record.asked:
        lines = check.record.lines_of[one.number]
        if len(lines) != 1:
            may_be_lost = not lines and (one.status == 0 or check.record.near_a_death(one))
            check.require(may_be_lost, "one line each", f"{len(lines)} lines of the log", one)
        elif one.status:
            _agrees(check, one, lines[0])
    strange = {line.number for line in check.record.lines} - {one.number for one in check.record.asked}
    check.require(not strange, "one line each", f"lines of nobody's requests: {sorted(strange)[:5]}")


def _agrees(check: Check, one: Asked, line: Line) -> None:
    rule = "log and answer agree"
    known = OUTCOME.get(one.status, ())
    check.require(line.outcome in known, rule, f"{one.status}, and the log says {line.outcome}", one)
    if one.status == 200:
        differ = [name for name in SAME if getattr(one, name) != getattr(line, name)]
        check.require(not differ, rule, f"they differ in {', '.join(differ)}", one)


def typed(check: Check) -> None:
    """What fails is 503 with Retry-After or 504, as a problem; 422 only for a picture that was garbled on its way."""
    rule = "typed"
    for one in check.record.asked:
        if one.status in (0, 200):
            continue
        garbled = any(_garbles(check, side, one) for side in ("triton", "legacy"))
        allowed = (503, 504, 422) if garbled else (503, 504)
        check.require(one.status in allowed, rule, f"status {one.status}: {one.error}", one)
        check.require(one.problem, rule, f"{one.status} is no problem+json of its status", one)
        patience = (one.retry_after or "").isdecimal() and int(one.retry_after or 0) >= 1
        check.require(one.status != 503 or patience, rule, f"503 with Retry-After {one.retry_after}", one)


def right(check: Check) -> None:
    """The box of its own picture. Bytes garbled on the way may move a box, and make it nobody's; never another's."""
    for one in check.record.asked:
        if one.status != 200 or one.shows == one.scene:
            continue
        words = f"the box of scene {one.shows}" if one.shows is not None else "a box of no scene"
        garbled = one.shows is None and one.side is not None and _garbles(check, one.side, one)
        check.excused["its bytes were garbled"] += garbled
        check.require(garbled, "its own picture", f"scene {one.scene} was sent, {words} came", one)


def in_time(check: Check) -> None:
    """Within the deadline, but for what a control beside it took: twice, since it is heard and answered apart."""
    deadline_s = check.record.facts["deadline_s"]
    for one in check.record.asked:
        if one.status == 0:
            continue
        took_s, control_s = one.ended - one.sent, check.record.control_s(one.sent, one.ended)
        allowed_s = deadline_s + OVER_S + 2 * control_s
        words = f"{took_s:.3f} s; a control took {control_s:.3f} s"
        check.require(took_s <= allowed_s, "in time", words, one)


def kept(check: Check) -> None:
    """Nobody fails while a side that may serve him is well for as long as he waits."""
    record = check.record
    for one, line in record.told:
        if one.status not in (422, 503, 504) or (state := record.state_of(line)) is None:
            continue
        first = first_choice(line, state)
        sides = [first, *may_help(first, line, state, record.facts["fallback"])]
        well = [side for side in sides if not record.broken(side, one.sent, one.ended)]
        if not well:
            continue
        excuse = _excuse(check, one, first, well)
        if excuse:
            check.excused[excuse] += 1
        check.require(
            bool(excuse), "kept", f"{one.status} while {' and '.join(well)} is well: {line.error}", one
        )


def _excuse(check: Check, one: Asked, first: str, well: list[str]) -> str:
    """The machine was busy: who is well cannot show it. Or legacy came first, which is given all the time there is,
    and hung."""
    record = check.record
    if record.control_s(one.sent, one.ended) > BUSY_S:
        return "the machine was busy"
    hangs = any(BY_NAME[deed.name].hangs for deed in record.broken(first, one.sent, one.ended))
    if first == "legacy" and first not in well and hangs and one.status == 504:
        return "legacy came first, and hung"
    return ""


def _garbles(check: Check, side: str, one: Asked) -> bool:
    return any(BY_NAME[deed.name].garbles for deed in check.record.broken(side, one.sent, one.ended))


def faultless(check: Check) -> None:
    """Whatever the others do, the backend meets nothing that it has no name for."""
    for words in check.record.errors:
        check.require(False, "no error that has no name", words)


RULES = (answered, logged, typed, right, in_time, kept, faultless)
