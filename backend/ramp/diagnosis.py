"""What is wrong with Triton, by name, as far as the counters can tell: for whoever is called when a ramp goes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from backend.ramp.looks import Question
from backend.ramp.phrases import listed, milliseconds, percent
from backend.rollout.books import Counts, longest_s, part, quantile_s, times

MOST: Final = 0.5  # of the differences, for one thing to be the fault
NEVER: Final = 0.9  # of the objects of a class
OFTEN: Final = 0.2
ONLY: Final = 5  # times as often in one light as in the other
LEAST_GROUND: Final = 5  # objects, to say how often they are missed
OPEN_SHARE: Final = 0.2  # of the errors: a breaker that is open says that calls failed one after the other
LIGHTS: Final = {"day": "infrared", "infrared": "day"}


def fault_of(question: Question, counts: Counts, slow_bin: int | None) -> str:
    """`counts` are best those since the trouble began."""
    if question == "errors":
        return errors_of(counts)
    if question == "disagreement":
        return differences_of(counts)
    return slowness_of(counts, slow_bin)


def errors_of(counts: Counts) -> str:
    reasons = Counter(part(counts, "error."))
    failed, asked = counts.get("errors.1", 0), counts.get("errors.0", 0) + counts.get("errors.1", 0)
    if not failed or not reasons:
        return "errors"
    opened = reasons.pop("breaker_open", 0)
    reason = max(reasons, key=lambda one: reasons[one]) if reasons else "breaker_open"
    if failed >= NEVER * asked or opened >= OPEN_SHARE * failed:
        dead = "the stub is dead" if reason == "server_error" else "Triton is gone"
        return f"{dead}: every call fails ({reason})"
    return f"errors: {reason} {percent(reasons[reason] / asked)}"


def slowness_of(counts: Counts, slow_bin: int | None) -> str:
    triton = quantile_s(times(counts, "triton"), 0.95)
    legacy = quantile_s(times(counts, "legacy"), 0.95) if slow_bin is None else longest_s(slow_bin)
    if triton is None or legacy is None:
        return "slower"
    return f"slower: p95 {milliseconds(triton)} against {milliseconds(legacy)}"


@dataclass(slots=True)
class _Differences:
    """Of all pairs, by what it is, in which light and of which class."""

    by_kind: Counter[str] = field(default_factory=Counter)
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)  # (light, label)
    extra: Counter[str] = field(default_factory=Counter)  # by label
    swaps: Counter[tuple[str, str]] = field(default_factory=Counter)  # (legacy's label, Triton's)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)  # (light, label)
    unanswered: int = 0

    @classmethod
    def of(cls, counts: Counts) -> _Differences:
        found = cls(unanswered=counts.get("compared.triton_failed", 0))
        for name, count in part(counts, "kind.").items():
            kind, light, label = name.split(".", 2)
            found.by_kind[kind] += count
            if kind == "missed":
                found.missed[light, label] += count
            elif kind == "extra":
                found.extra[label] += count
        for name, count in part(counts, "seen.").items():
            light, _, label = name.partition(".")
            found.seen[light, label] += count
        for name, count in part(counts, "swap.").items():
            one, _, other = name.partition("/")
            found.swaps[one, other] += count
        return found

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple({label for _, label in self.seen})


def differences_of(counts: Counts) -> str:
    """The first that explains most of the differences."""
    found = _Differences.of(counts)
    causes: tuple[Callable[[_Differences], str], ...] = (_no_answers, _swap, _placing, _loss, _excess)
    named = (cause(found) for cause in causes)
    return next(filter(None, named), "scores differ: many classes a little, as at too low a precision")


def _no_answers(found: _Differences) -> str:
    return "Triton gives no answer where legacy does" if found.unanswered > max(found.total, 1) else ""


def _swap(found: _Differences) -> str:
    if not found.swaps or sum(found.swaps.values()) < MOST * found.total:
        return ""
    (one, other), _ = found.swaps.most_common(1)[0]
    there, back = found.swaps[one, other], found.swaps[other, one]
    if there + back < MOST * sum(found.swaps.values()):
        return "classes are mixed up"
    return f"{one} and {other} are swapped" if back else f"{one} is taken for {other}"


def _placing(found: _Differences) -> str:
    for kind, words in (("misplaced", "boxes are misplaced"), ("duplicate", "objects are found twice")):
        if found.by_kind[kind] >= MOST * max(found.total, 1):
            return words
    return ""


def _loss(found: _Differences) -> str:
    """One class, or all of them in one light."""
    missed = sum(found.missed.values())
    if not missed or missed < MOST * found.total:
        return ""
    by_label: Counter[str] = Counter()
    for (_, label), count in found.missed.items():
        by_label[label] += count
    label, count = by_label.most_common(1)[0]
    if count >= MOST * missed:
        return _lost(label, found)
    return _lost_light(found)


def _lost(label: str, found: _Differences) -> str:
    for light, other in LIGHTS.items():
        if _is_lost_in(light, other, found, (label,)):
            return f"{label} is missed in {_in(light)}" + _elsewhere(other, found, (label,))
    seen = sum(found.seen[light, label] for light in LIGHTS)
    missed = sum(found.missed[light, label] for light in LIGHTS)
    if missed >= NEVER * seen:
        return f"{label} is never found"
    return f"{label} is missed ({percent(missed / seen)} of them)"


def _lost_light(found: _Differences) -> str:
    labels = found.labels
    for light, other in LIGHTS.items():
        if _is_lost_in(light, other, found, labels):
            return f"objects are missed in {_in(light)}" + _elsewhere(other, found, labels)
    return ""


def _is_lost_in(light: str, other: str, found: _Differences, labels: tuple[str, ...]) -> bool:
    here, there = _share(found, light, labels), _share(found, other, labels)
    both = any(found.seen[other, label] for label in found.labels)
    return here is not None and both and here >= OFTEN and here >= ONLY * (there or 0.0)


def _elsewhere(other: str, found: _Differences, labels: tuple[str, ...]) -> str:
    """Where hardly any were to be seen, nobody knows."""
    return f" (and not {_by(other)})" if _share(found, other, labels) is not None else ""


def _share(found: _Differences, light: str, labels: tuple[str, ...]) -> float | None:
    seen = sum(found.seen[light, label] for label in labels)
    return sum(found.missed[light, label] for label in labels) / seen if seen >= LEAST_GROUND else None


def _excess(found: _Differences) -> str:
    extra: Mapping[str, int] = found.extra
    total = sum(extra.values())
    if not total or total < NEVER * found.total:
        return ""
    labels = tuple(label for label, count in sorted(extra.items()) if count >= MOST * total)
    return f"{listed(labels)} is seen where legacy sees none" if labels else ""


def _in(light: str) -> str:
    return "infrared" if light == "infrared" else "daylight"


def _by(light: str) -> str:
    return "by day" if light == "day" else "in infrared"
