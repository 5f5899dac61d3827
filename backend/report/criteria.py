"""The six success criteria of the migration, one by one: what is known of each here, and how.

A criterion is met when the ramp's evidence says so, never because nothing was heard of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ai.triton.comparing.certificate import MAX_MAP_DIFFERENCE
from backend.ramp.evidence import Counted
from backend.ramp.looks import Answer, Look, Question
from backend.report.about import NAMES
from backend.report.words import ms, percent, surely
from backend.rollout.books import Counts, quantile_s, times
from backend.rollout.ramps import Ramp
from backend.sides import LEGACY, TRITON

Verdict = Literal["met", "not met", "not known here"]
About = Mapping[str, str]

_HELD = "Triton took each step up only after this had been shown at the step before."


def criteria(ramp: Ramp | None, look: Look | None, counts: Counts, about: About) -> list[dict[str, Any]]:
    compared = _is_compared(about)
    rows = (
        ("No increase in detection latency (p95)", *_latency(ramp, look, counts, about)),
        ("Detection accuracy unchanged (less than 0.1 % of mAP)", *_accuracy(look, about)),
        ("Error rate under 0.1 % at normal load", *_errors(ramp, look, counts, compared)),
        ("GPU utilisation improved under concurrent load", *_GPU),
        ("All existing tests pass", *_TESTS),
        ("Prometheus metrics available", *(_NO_METRICS if compared else _METRICS)),
    )
    return [
        {"number": number, "claim": claim, "verdict": verdict, "figure": figure, "how": how}
        for number, (claim, verdict, figure, how) in enumerate(rows, start=1)
    ]


def verdict(ramp: Ramp | None, look: Look | None, about: About) -> dict[str, str]:
    """The sentence at the top, and whether it is good news."""
    if "verdict" in about:
        return _said(about["verdict"], about.get("tone", "open"))
    if ramp is None:
        return _said("No ramp has been started for this detector.", "open")
    return _of_ramp(ramp, look)


def _of_ramp(ramp: Ramp, look: Look | None) -> dict[str, str]:
    words = look.words if look is not None else "Nothing was looked at yet."
    if ramp.phase == "ended":
        return _said(f"The ramp is over: {ramp.ended}.", "bad" if "roll" in ramp.ended.lower() else "open")
    if look is not None and look.fault:
        return _said(f"{words} ({look.fault})", "bad")
    if ramp.paused:
        return _said(f"Paused: {ramp.paused}. {words}", "open")
    if ramp.phase == "watching":
        return _said(f"Triton serves {ramp.fraction:.0%}, and the watch goes on: {words}", "good")
    return _said(words, "open")


def _said(sentence: str, tone: str) -> dict[str, str]:
    return {"sentence": sentence[:1].upper() + sentence[1:], "tone": tone}


# --- one by one -------------------------------------------------------------------------------------------

_Row = tuple[Verdict, str, str]


def _latency(ramp: Ramp | None, look: Look | None, counts: Counts, about: About) -> _Row:
    p95 = {side: quantile_s(times(counts, side), 0.95) for side in (LEGACY, TRITON)}
    figure = "p95: " + ", ".join(f"{about.get(f'name.{side}', NAMES[side])} {_ms(p95[side])}" for side in p95)
    compared = _is_compared(about)
    if compared:
        return "not known here", figure, (
            "Both sides ran on this machine at the same time, so these times say how they stood here and nothing of "
            "production. A ramp measures it on callers' own requests; `make bench` on a quiet machine."
        )  # fmt: skip
    known, words = _known(ramp, look, "latency")
    return (
        known,
        figure,
        (f"{words} Each caller's wait is held against the p95 that legacy had before the ramp, frozen then."),
    )


def _accuracy(look: Look | None, about: About) -> _Row:
    beside = _band(_answer(look, "disagreement"))
    if "parity.difference" not in about:
        why = about.get("parity.problem") or "no parity certificate was given"
        return "not known here", beside or "no figure", (
            f"It is a statement about mAP, and {why}; `crossfade models parity` makes one. What differs in live "
            "pictures stands under Disagreement."
        )  # fmt: skip
    difference = float(about["parity.difference"])
    passed = about.get("parity.passed") == "yes" and abs(difference) <= MAX_MAP_DIFFERENCE
    figure = f"mAP50-95 {difference:+.5f}" + (f"; {beside}" if beside else "")
    problem = f" It failed: {about['parity.problem']}." if about.get("parity.problem") else ""
    return ("met" if passed else "not met"), figure, (
        f"The parity certificate ({about.get('parity.about', 'Triton')}, {about.get('parity.pictures', '?')} pictures, "
        f"{about.get('parity.made_at', 'undated')}).{problem} At most {MAX_MAP_DIFFERENCE} is allowed."
    )  # fmt: skip


def _errors(ramp: Ramp | None, look: Look | None, counts: Counts, compared: bool) -> _Row:
    asked = Counted.of(counts, "errors")
    if not asked.asked:
        return "not known here", "no figure", "Nothing was asked of Triton yet."
    figure = f"{asked.worse:,} of {asked.asked:,} not served ({percent(asked.worse / asked.asked)})"
    if compared:
        return "not known here", figure, "Here every picture was asked once or twice; that is no load."
    known, words = _known(ramp, look, "errors")
    return known, figure, (
        f"{words} Every request decided for Triton counts, breaker, shed and fallback too; callers' own errors do not."
    )  # fmt: skip


_GPU: _Row = (
    "not known here",
    "no figure",
    "Triton tells nv_gpu_utilization on its metrics port, on machines with a GPU: hold it against the time before "
    "the ramp. Benchmarks under concurrent load stand in docs/performance.md.",
)
_TESTS: _Row = (
    "not known here",
    "no figure",
    "A matter of CI and not of a running system: `make test`, at the commit that is deployed.",
)
_METRICS: _Row = (
    "met",
    "GET /metrics",
    "The backend that made this report serves them; docs/metrics.md names each.",
)
_NO_METRICS: _Row = (
    "not known here",
    "no figure",
    "A comparison asks no backend. A running one serves them: GET /metrics, named in docs/metrics.md.",
)


def _known(ramp: Ramp | None, look: Look | None, question: Question) -> tuple[Verdict, str]:
    """What the evidence says of this question by now, and in which words."""
    answer = _answer(look, question)
    if answer is not None and answer.ill >= answer.ill_at:
        return "not met", f"The evidence of {answer.asked:,} samples is against it."
    if answer is not None and answer.well >= answer.well_at:
        return "met", f"Shown by {answer.asked:,} samples: at most {percent(answer.bound)} are worse."
    if ramp is not None and (ramp.step > 0 or ramp.phase == "watching"):
        return "met", _HELD
    if answer is None or not answer.asked:
        return "not known here", "No evidence was gathered."
    return "not known here", f"{answer.asked:,} of about {answer.needed:,} samples that it takes."


def _answer(look: Look | None, question: Question) -> Answer | None:
    return next((one for one in look.answers if one.question == question), None) if look else None


def _band(answer: Answer | None) -> str:
    if answer is None or answer.rate is None or answer.low is None or answer.high is None:
        return ""
    return f"disagreement {percent(answer.rate)}, {surely(answer.low, answer.high)}"


def _ms(seconds: float | None) -> str:
    return "not measured" if seconds is None else ms(1000 * seconds)


def _is_compared(about: About) -> bool:
    return about.get("kind") == "compare"
