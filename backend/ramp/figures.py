"""What the books of a ramp say on each of the four questions, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from backend.ramp import evidence
from backend.ramp.evidence import Asked, Counted, Starts
from backend.ramp.looks import QUESTIONS, Answer, Look, Question
from backend.rollout.books import Counts, times
from backend.rollout.ramps import Ramp
from backend.settings import Settings

FRESH_UP_TO: Final = 0.5  # beyond that legacy has too few fresh requests to be compared with
BAND_ALPHA: Final = 0.05
MOST_TIMES: Final = 64  # what was seen so far: a question that needs more than that has no end in sight


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of Triton, and how surely."""

    disagreement: tuple[float, ...]
    errors: float
    slow: float
    fresh: float
    step_samples: int
    step_s: float
    baseline_times: int
    dropped: float
    promote_alpha: float
    rollback_alpha: float
    headroom: float

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        return cls(**{name: getattr(settings, f"ramp_{name}") for name in cls.__dataclass_fields__})

    def bound(self, question: Question, step: int) -> float:
        if question == "disagreement":
            return self.disagreement[min(max(step, 0), len(self.disagreement) - 1)]
        return {"errors": self.errors, "latency": self.slow, "fresh": self.fresh}[question]


def asked_of(question: Question, step: int, policy: Policy) -> Asked:
    return Asked(policy.bound(question, step), -1 if question == "disagreement" else 0)


def counted_of(question: Question, counts: Counts, slow_bin: int | None) -> Counted:
    if question == "latency":
        binned = times(counts, "triton")
        slow = sum(count for number, count in binned.items() if slow_bin is not None and number > slow_bin)
        return Counted(slow, sum(binned.values()) - slow)
    return Counted.of(counts, question)


def questions_of(ramp: Ramp) -> tuple[Question, ...]:
    fresh = ramp.fraction <= FRESH_UP_TO
    return tuple(question for question in QUESTIONS if fresh or question != "fresh")


def answers_of(
    counts: Counts, ramp: Ramp, policy: Policy, starts: Mapping[Question, Starts], bands: bool
) -> tuple[tuple[Answer, ...], dict[Question, Starts]]:
    """The starts are those for the next look: to be kept before anything is done about the answers."""
    answers, later = [], dict(starts)
    for question in questions_of(ramp):
        asked, counted = (
            asked_of(question, ramp.step, policy),
            counted_of(question, counts, ramp.slow_bin),
        )
        against, later[question] = evidence.ill(asked, counted, starts.get(question, Starts()))
        answers.append(_answer(question, asked, counted, against, ramp, policy, bands))
    return tuple(answers), later


def _answer(
    question: Question,
    asked: Asked,
    counted: Counted,
    against: float,
    ramp: Ramp,
    policy: Policy,
    bands: bool,
) -> Answer:
    decides = question != "fresh"  # which is only ever evidence against
    low, high = band(asked, counted) if bands and counted.asked else (None, None)
    return Answer(
        question, counted.worse, counted.same, counted.better, asked.bound, counted.rate, low, high,
        well=evidence.well(asked, counted) if decides else 0.0,
        ill=against,
        well_at=evidence.promote_at(policy.promote_alpha) if decides else 0.0,
        ill_at=rollback_at(ramp, policy),
        needed=clean_needed(asked, policy.promote_alpha) if decides and bands else 0,
    )  # fmt: skip


@lru_cache(maxsize=64)
def band(asked: Asked, counted: Counted) -> tuple[float, float]:
    """Five milliseconds of searching, and most looks find nothing new."""
    return evidence.band(asked, counted, BAND_ALPHA)


clean_needed = lru_cache(maxsize=64)(evidence.clean_needed)


def rollback_at(ramp: Ramp, policy: Policy) -> float:
    """The baseline was the first epoch, and rolls nothing back: its share is the first step's."""
    return evidence.rollback_at(policy.rollback_alpha, len(QUESTIONS), max(1, ramp.tries - 1))


def eta_s(answer: Answer, least: int, passed_s: float) -> float | None:
    """Until it is answered well, with as many samples a second and as many bad ones among them as so far."""
    if answer.question == "fresh":
        return 0.0
    if not answer.asked or passed_s <= 0:
        return None
    more = _times_more(answer)
    wanted = max(answer.asked * more, least) if more else None
    return None if wanted is None else (wanted - answer.asked) * passed_s / answer.asked


def _times_more(answer: Answer) -> float | None:
    """How many times what was seen so far is enough; None: as it goes, nothing ever is."""
    few, enough = 0.0, 1.0
    while not _is_enough(answer, enough):
        few, enough = enough, 2 * enough
        if enough > max(MOST_TIMES, 4 * answer.needed / answer.asked):
            return None
    while enough > 1 and enough - few > 0.02 * enough:
        middle = (few + enough) / 2
        few, enough = (few, middle) if _is_enough(answer, middle) else (middle, enough)
    return enough


def _is_enough(answer: Answer, more: float) -> bool:
    asked = Asked(answer.bound, -1 if answer.question == "disagreement" else 0)
    counted = Counted(*(round(count * more) for count in (answer.worse, answer.same, answer.better)))
    return evidence.well(asked, counted) >= answer.well_at


def compact(look: Look) -> dict[str, Any]:
    """For the history: what it was decided by, without what is only drawn."""
    table = look.to_table()
    return {name: table[name] for name in ("epoch", "action", "words", "fault", "answers")}
