"""Everything that keeps a ramp's next step away, each as a phrase. What is not known is a reason to wait as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ai.triton.comparing.certificate import Standing
from backend.ramp.figures import Policy, counted_of
from backend.ramp.ground import unseen
from backend.ramp.looks import Answer
from backend.ramp.phrases import duration, listed, percent
from backend.rollout.books import Counts, part
from backend.rollout.ramps import Ramp

NAMED = 3  # of what was not seen; the others are counted
FAIR_PAIRS = 100  # to say how often they differ
MUCH = 0.1  # of all comparisons
TIMES_MORE = 3  # than of the evidence


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is so beside the books."""

    standing: Callable[[str], Standing]  # of the certificate, for a model version
    headroom: float | None  # what legacy could carry over the demand; None: nobody knows; 0: it serves nobody
    shadow: float
    triton_on: bool = True
    frozen: str = ""  # the window in which nothing is promoted
    legacy_enabled: bool = True


def no_way_back(ramp: Ramp, conditions: Conditions) -> str:
    """Why a rollback would hand callers to nobody; empty where it would not.

    A legacy that nothing leads to is not asked whether it lives, which is not the same as being dead.
    """
    if not conditions.legacy_enabled:
        return "LEGACY_ENABLED=false: there is no side to roll back to"
    asked = conditions.shadow > 0 or ramp.phase != "watching" or ramp.fraction < 1
    if conditions.headroom == 0 and asked:
        return "legacy cannot serve: there is no side to roll back to"
    return ""


def waits_outside(ramp: Ramp, version: str, conditions: Conditions, policy: Policy) -> Iterator[str]:
    """What has nothing to do with evidence."""
    if ramp.paused:
        yield f"paused: {ramp.paused}"
    if not conditions.triton_on:
        yield "Triton is switched off"
    if not conditions.legacy_enabled:
        yield "LEGACY_ENABLED=false: there is nothing to compare with"
    elif conditions.shadow <= 0:
        yield "nothing is compared: the shadow fraction is 0"
    if conditions.frozen:
        yield f"nothing is promoted in {conditions.frozen} (RAMP_FREEZE)"
    yield from _gate(ramp)
    if not ramp.forced:
        yield from _certificate(version, conditions)
        yield from _headroom(conditions.headroom, policy.headroom)


def waits_for_a_person(
    ramp: Ramp, waits: tuple[str, ...], version: str, conditions: Conditions, policy: Policy
) -> bool:
    """Paused, or of all that is waited for neither time nor traffic would bring anything."""
    lasting = {
        *waits_outside(ramp, version, replace(conditions, frozen=""), policy),
        no_way_back(ramp, conditions),
    }
    return bool(ramp.paused) or (bool(waits) and lasting.issuperset(waits))


def waits_for_evidence(
    ramp: Ramp, counts: Counts, answers: tuple[Answer, ...], policy: Policy, now: float
) -> Iterator[str]:
    for answer in answers:
        if answer.well < answer.well_at:
            yield _unanswered(answer)
    samples = sum(answer.asked for answer in answers if answer.question == "disagreement")
    if samples < policy.step_samples:
        yield f"a step takes {policy.step_samples:,} samples at least; there are {samples:,}"
    if now - ramp.step_at < policy.step_s:
        left_s = policy.step_s - (now - ramp.step_at)
        yield f"a step takes {duration(policy.step_s)} at least; {duration(left_s)} are left"
    yield from _dropped(counts, policy.dropped)
    yield from _unproven(counts, policy.dropped)
    yield from _unlike(counts)
    yield from _coverage(ramp, counts)


def _gate(ramp: Ramp) -> Iterator[str]:
    """It need not be a step: whoever names 60 % is asked before 75 %. At the last step there is none left."""
    following, gate = ramp.steps[ramp.step + 1 : ramp.step + 2], ramp.next_gate
    if following and gate is not None and gate <= following[0]:
        yield f"{percent(gate)} has to be approved (crossfade ramp approve)"


def _certificate(version: str, conditions: Conditions) -> Iterator[str]:
    standing = conditions.standing(version)
    if not standing.holds:
        yield standing.reason


def _headroom(ratio: float | None, least: float) -> Iterator[str]:
    if least <= 0:
        return
    if ratio is None:
        yield "nobody has measured yet how much legacy could carry"
    elif ratio < least:
        yield f"legacy could carry {ratio:.2f} of what is asked, and a step needs {least:g}"


def _unanswered(answer: Answer) -> str:
    if not answer.asked:
        return f"{answer.question}: no samples yet"
    of = f" of about {answer.needed:,}" if answer.needed > answer.asked else ""
    rate = answer.rate or 0.0
    if rate > 0:
        allowed = f"up to {percent(answer.bound)} is allowed"
        return f"{answer.question}: {percent(rate)} in {answer.asked:,}{of} samples, {allowed}"
    return f"{answer.question}: {answer.asked:,}{of} samples"


def _dropped(counts: Counts, most: float) -> Iterator[str]:
    dropped, made = sum(part(counts, "dropped.").values()), sum(part(counts, "compared.").values())
    if dropped > most * (dropped + made):
        share = dropped / (dropped + made)
        yield f"{percent(share)} of the comparisons were dropped, up to {percent(most)} is allowed"


def _unproven(counts: Counts, most: float) -> Iterator[str]:
    unproven, made = counts.get("unproven", 0), counted_of("disagreement", counts, None).asked
    if unproven > most * (unproven + made):
        share = unproven / (unproven + made)
        yield (
            f"{percent(share)} of the evidence was lost, since legacy gave no second answer; "
            f"up to {percent(most)} is allowed"
        )


def _unlike(counts: Counts) -> Iterator[str]:
    """A scene that stands still gives no evidence, however wrong Triton is about it."""
    evidence, pairs = counted_of("disagreement", counts, None), part(counts, "compared.")
    differ = pairs.get("different", 0) + pairs.get("triton_failed", 0)
    judged = differ + pairs.get("same", 0)
    if judged < FAIR_PAIRS or not evidence.asked:
        return
    of_all, of_evidence = differ / judged, evidence.worse / evidence.asked
    if of_all > MUCH and of_all > TIMES_MORE * of_evidence:
        yield (
            f"{percent(of_all)} of all comparisons differ, of the evidence {percent(of_evidence)}: "
            "scenes that stand still prove nothing; look at the samples"
        )


def _coverage(ramp: Ramp, counts: Counts) -> Iterator[str]:
    names = unseen(ramp.baseline or {}, counts)
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        shown = ", ".join(names[:NAMED]) if more else listed(names)
        yield f"not in the evidence since this step began: {shown}{more}"
