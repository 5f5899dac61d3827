"""What is to be done about a ramp now: pure, from what was counted, what is noted and what is so beside it.

    baseline → running, step by step → watching → ended

A promotion needs every reason to wait to be gone; a rollback needs one question to be answered badly. No data answers
nothing. What is decided becomes true by one write of the state, or not at all: that is `pilot`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from backend.ramp.baseline import baseline_eta_s, waits_for_baseline
from backend.ramp.diagnosis import fault_of
from backend.ramp.figures import Policy, answers_of, counted_of, eta_s
from backend.ramp.ground import coverage_of, slow_bin_of
from backend.ramp.holding import Conditions, no_way_back, waits_for_evidence, waits_outside
from backend.ramp.looks import Action, Answer, Look, Point
from backend.ramp.noted import Noted
from backend.ramp.phrases import duration, percent
from backend.ramp.serving import served_fraction
from backend.ramp.trail import longer
from backend.ramp.versions import strangers, version_of, waits_for_one_version
from backend.rollout.books import Counts, part
from backend.rollout.ramps import Ramp

UNSUSPICIOUS: Final = 1.0  # ln of the evidence against Triton, up to which there is nothing to explain
FEW_TO_TELL: Final = 5


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision is made from."""

    detector: str
    ramp: Ramp
    counts: Counts  # of the book of its epoch
    noted: Noted  # at the last look
    conditions: Conditions
    policy: Policy
    now: float  # unix seconds
    trail: tuple[Point, ...] = ()  # of the last look at this epoch
    tell: bool = True  # with bands and the time that is left, which no decision needs


@dataclass(frozen=True, slots=True)
class Decided:
    look: Look
    noted: Noted  # to be kept before anything is done
    ramp: Ramp  # as it is to be
    fraction: float | None = None  # of its detector, where that is to change


def decide(situation: Situation) -> Decided:
    ramp, noted = situation.ramp, situation.noted.grown(situation.counts, situation.now)
    if ramp.phase == "baseline":
        return _measuring(situation, noted)
    if situation.noted.has_lost(situation.counts):
        return _anew(situation, Noted(ramp.epoch), "evidence was lost, and the step begins anew")
    if ramp.model_version != (other := version_of(ramp, noted, situation.now)):
        return _new_version(situation, noted, other)
    bands = situation.tell
    answers, starts = answers_of(situation.counts, ramp, situation.policy, noted.starts, bands)
    noted = replace(noted, starts=starts)
    if max(answer.ill for answer in answers) < UNSUSPICIOUS:
        noted = replace(noted, clean=dict(situation.counts))
    return _judged(situation, noted, answers)


# --- before the first step --------------------------------------------------------------------------------


def _measuring(situation: Situation, noted: Noted) -> Decided:
    ramp, policy = situation.ramp, situation.policy
    version = noted.current_version()
    waits = (
        *waits_for_baseline(ramp, situation.counts, version, policy),
        *waits_outside(ramp, version, situation.conditions, policy),
    )
    if waits:
        alone = len(waits) == 1
        eta = baseline_eta_s(ramp, situation.counts, policy, situation.now) if alone else None
        return _held(situation, noted, (), waits, eta)
    first = replace(
        ramp,
        phase="running",
        step=ramp.step + 1,
        slow_bin=slow_bin_of(situation.counts),
        model_version=version,
        baseline=coverage_of(situation.counts),
    ).begun_anew(situation.now)
    words = f"legacy is measured; the first step is {percent(first.fraction)}"
    return _moved(situation, noted, first, "measured", words, ())


# --- the ground moves -------------------------------------------------------------------------------------


def _new_version(situation: Situation, noted: Noted, version: str) -> Decided:
    before, standing = situation.ramp.model_version, situation.conditions.standing(version)
    words = f"another model version answers: {version}, not {before}"
    if standing.holds or situation.ramp.forced:
        return _anew(situation, noted, f"{words}; the step begins anew", model_version=version)
    changes = {"model_version": version, "paused": situation.ramp.paused or f"{words}; {standing.reason}"}
    paused = situation.ramp.begun_anew(situation.now, **changes)
    return _moved(situation, noted, paused, "pause", f"paused: {standing.reason}", (), words)


def _anew(situation: Situation, noted: Noted, words: str, **changes: str) -> Decided:
    ramp = situation.ramp.begun_anew(situation.now, **changes)
    return _moved(situation, noted, ramp, "begin anew", words, ())


# --- a step -----------------------------------------------------------------------------------------------


def _judged(situation: Situation, noted: Noted, answers: tuple[Answer, ...]) -> Decided:
    ramp = situation.ramp
    bad = [answer for answer in answers if answer.ill >= answer.ill_at]
    fault = _fault(situation, noted, bad or _over(answers))
    if bad and (nowhere := no_way_back(ramp, situation.conditions)):
        return _held(situation, noted, answers, (nowhere,), None, fault)
    if bad:
        return _rolled_back(situation, noted, answers, fault)
    if ramp.phase == "watching":
        return _watched(situation, noted, answers, fault)
    waits = _waits(situation, noted, answers)
    if waits:
        return _held(situation, noted, answers, waits, _eta_s(situation, answers), fault)
    if others := strangers(ramp, noted):
        return _anew(situation, noted, f"part of the evidence is about {others}, and the step begins anew")
    return _promoted(situation, noted, answers)


def _over(answers: tuple[Answer, ...]) -> list[Answer]:
    return [answer for answer in answers if answer.low is not None and answer.low > answer.bound]


def _fault(situation: Situation, noted: Noted, bad: list[Answer]) -> str:
    """A dead Triton explains wrong answers, and wrong answers are worse than late ones."""
    if not bad:
        return ""
    order = ("errors", "disagreement", "latency", "fresh")
    worst = min(bad, key=lambda answer: order.index(answer.question))
    since = _telling(worst, situation, noted)
    slow_bin = None if worst.question == "fresh" else situation.ramp.slow_bin
    fault = fault_of(worst.question, since, slow_bin)
    return "; ".join((*_uncertified(situation, since), fault))


def _telling(worst: Answer, situation: Situation, noted: Noted) -> Counts:
    """What came since nothing was wrong; all of it where that is too little to tell by."""
    since = noted.since_clean(situation.counts)
    asked = counted_of(worst.question, since, situation.ramp.slow_bin).asked
    return since if asked >= FEW_TO_TELL else situation.counts


def _uncertified(situation: Situation, counts: Counts) -> tuple[str, ...]:
    """The versions that answered and should not have: whatever else is wrong comes of that."""
    answered = [version for version, count in sorted(part(counts, "version.").items()) if count > 0]
    standings = [situation.conditions.standing(version) for version in answered if not situation.ramp.forced]
    return tuple(standing.reason for standing in standings if not standing.holds)


def _waits(situation: Situation, noted: Noted, answers: tuple[Answer, ...]) -> tuple[str, ...]:
    ramp, policy = situation.ramp, situation.policy
    return (
        *waits_outside(ramp, ramp.model_version, situation.conditions, policy),
        *waits_for_one_version(ramp, noted, situation.now),
        *waits_for_evidence(ramp, situation.counts, answers, policy, situation.now),
    )


def _eta_s(situation: Situation, answers: tuple[Answer, ...]) -> float | None:
    """None where something else than samples and time is waited for."""
    ramp, policy = situation.ramp, situation.policy
    if not situation.tell or any(waits_outside(ramp, ramp.model_version, situation.conditions, policy)):
        return None
    passed_s, least = situation.now - ramp.step_at, policy.step_samples
    floors = {"disagreement": least}
    etas = [eta_s(answer, floors.get(answer.question, 0), passed_s) for answer in answers]
    known = [eta for eta in etas if eta is not None]
    return max(*known, policy.step_s - passed_s) if len(known) == len(etas) else None


# --- what comes of it -------------------------------------------------------------------------------------


def _promoted(situation: Situation, noted: Noted, answers: tuple[Answer, ...]) -> Decided:
    ramp = situation.ramp
    is_last = ramp.step == len(ramp.steps) - 1
    further = replace(ramp, phase="watching") if is_last else replace(ramp, step=ramp.step + 1)
    higher = further.begun_anew(situation.now)
    words = f"promoted from {percent(ramp.fraction)} to {percent(higher.fraction)}"
    if is_last:
        words = f"{percent(ramp.fraction)} is earned; the watch goes on"
    return _moved(situation, noted, higher, "promote", words, answers)


def _rolled_back(situation: Situation, noted: Noted, answers: tuple[Answer, ...], fault: str) -> Decided:
    words = f"rolled back from {percent(situation.ramp.fraction)}: {fault}"
    over = situation.ramp.rolled_back_for(fault)
    decided = _moved(situation, noted, over, "roll back", words, answers, fault)
    return decided if situation.ramp.dry_run else replace(decided, fraction=0.0)


def _watched(situation: Situation, noted: Noted, answers: tuple[Answer, ...], fault: str) -> Decided:
    look = _look(situation, "hold", f"watching at {percent(situation.ramp.fraction)}", answers, fault)
    return Decided(look, noted, situation.ramp)


def _held(
    situation: Situation,
    noted: Noted,
    answers: tuple[Answer, ...],
    waits: tuple[str, ...],
    eta: float | None,
    fault: str = "",
) -> Decided:
    words = f"hold: {waits[0]}" + (f", about {duration(eta)}" if eta is not None and eta > 0 else "")
    look = replace(_look(situation, "hold", words, answers, fault), waits_for=waits, eta_s=eta)
    return Decided(look, noted, situation.ramp)


def _moved(
    situation: Situation,
    noted: Noted,
    ramp: Ramp,
    action: Action,
    words: str,
    answers: tuple[Answer, ...],
    fault: str = "",
) -> Decided:
    """A dry run tells of steps and rollbacks, and makes none."""
    before = situation.ramp
    if before.dry_run and action in ("promote", "roll back"):
        look = _look(situation, action, f"would be {words}", answers, fault)
        return Decided(look, noted, before)
    look = _look(situation, action, words, answers, fault)
    fraction = served_fraction(ramp)
    moves = fraction is not None and fraction != served_fraction(before)
    return Decided(look, noted, ramp, fraction if moves else None)


def _look(situation: Situation, action: Action, words: str, answers: tuple[Answer, ...], fault: str) -> Look:
    trail = longer(situation.trail, answers) if situation.tell else ()
    epoch, now = situation.ramp.epoch, situation.now
    return Look(situation.detector, epoch, now, action, words, fault=fault, answers=answers, trail=trail)
