"""The report's figures, worked out of counts: latency, disagreement, coverage, and what differed how often."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ai.core.matching import DIFFERENCES
from backend.ramp.evidence import Asked, Counted, band
from backend.ramp.looks import Look
from backend.rollout.books import Counts, longest_s, part, quantile_s, times
from backend.rollout.ramps import Ramp
from backend.rollout.store import Sample
from backend.sides import LEGACY, SIDES, TRITON

ALPHA = 0.05  # of each band: it holds at all times together with 95 %
COLUMNS = 36  # of the histogram; a book's bins are finer than a picture
QUANTILES = (0.5, 0.95, 0.99)
_TRIPLE = Asked(0.01, -1)  # a band does not depend on the bound
_LIGHTS = ("day", "infrared")


def latency(counts: Counts, ramp: Ramp | None) -> dict[str, Any]:
    """What callers waited, by the side that was decided for."""
    binned = {side: times(counts, side) for side in SIDES}
    slow_bin = ramp.slow_bin if ramp else None
    return {
        **{side: _quantiles(binned[side]) for side in SIDES},
        "slow_from_ms": None if slow_bin is None else 1000 * longest_s(slow_bin),
        "histogram": _columns(binned[LEGACY], binned[TRITON]),
    }


def _quantiles(binned: Mapping[int, int]) -> dict[str, Any]:
    figures = {f"p{round(100 * share)}_ms": quantile_s(binned, share) for share in QUANTILES}
    return {
        "count": sum(binned.values()),
        **{name: None if value is None else round(1000 * value, 3) for name, value in figures.items()},
    }


def _columns(legacy: Mapping[int, int], triton: Mapping[int, int]) -> list[dict[str, float]]:
    """The bins in between, several to a column, so that a picture shows them."""
    used = [*legacy, *triton]
    if not used:
        return []
    first, last = min(used), max(used)
    width = max(1, math.ceil((last - first + 1) / COLUMNS))
    columns = []
    for low in range(first, last + 1, width):
        inside = range(low, low + width)
        columns.append({
            "from_ms": 1000 * longest_s(low - 1),
            "to_ms": 1000 * longest_s(inside[-1]),
            LEGACY: sum(legacy.get(number, 0) for number in inside),
            TRITON: sum(triton.get(number, 0) for number in inside),
        })  # fmt: skip
    return columns


def disagreement(
    books: Mapping[str, Counts], look: Look | None, fractions: Mapping[str, float]
) -> dict[str, Any]:
    """X = 1{Triton ≠ legacy} − 1{legacy ≠ legacy again}, over all epochs and in each."""
    by_epoch = {epoch: Counted.of(counts, "disagreement") for epoch, counts in books.items()}
    answer = next((one for one in look.answers if one.question == "disagreement"), None) if look else None
    return {
        **_banded(sum(by_epoch.values(), Counted())),
        "bound": answer.bound if answer else None,
        "epochs": [
            {"epoch": epoch, "fraction": fractions.get(epoch), **_banded(counted)}
            for epoch, counted in by_epoch.items()
        ],
        "trail": [
            {"samples": point.samples, "rate": point.rate, "low": point.low, "high": point.high}
            for point in (look.trail if look else ())
        ],
    }


def _banded(counted: Counted) -> dict[str, Any]:
    low, high = band(_TRIPLE, counted, ALPHA) if counted.asked else (None, None)
    return {
        "samples": counted.asked,
        "worse": counted.worse,
        "better": counted.better,
        "rate": counted.rate,
        "low": low,
        "high": high,
    }


def tables(counts: Counts, samples: Iterable[Sample]) -> dict[str, Any]:
    kept = list(samples)
    differing = sum(part(counts, "compared.").get(name, 0) for name in ("different", "triton_failed"))
    return {
        "pairs": part(counts, "compared."),
        "differing_pairs": differing,
        "coverage": {
            "class": _classes(counts),
            "camera": _cameras(counts, kept),
            "light": _lights(counts),
        },
        "kinds": _kinds(counts),
        "swaps": _pairs(part(counts, "swap.")),
        "errors": _most_first(part(counts, "error.")),
        "drops": _most_first(part(counts, "dropped.")),
        "versions": _most_first(part(counts, "version.")),
    }


def _classes(counts: Counts) -> list[dict[str, Any]]:
    """By class: evidence samples that showed it, objects that legacy saw, objects that differed."""
    proven, seen, different = (
        part(counts, "class."),
        _seen_by(counts, "label"),
        _different_by(counts, "label"),
    )
    labels = {*proven, *seen, *different}
    rows = [_covered(label, proven, seen, different) for label in labels]
    return sorted(rows, key=lambda row: (-row["seen"], -row["different"], row["name"]))


def _lights(counts: Counts) -> list[dict[str, Any]]:
    proven, seen, different = (
        part(counts, "light."),
        _seen_by(counts, "light"),
        _different_by(counts, "light"),
    )
    names = [light for light in _LIGHTS if light in {*proven, *seen, *different}]
    return [_covered(light, proven, seen, different) for light in names]


def _cameras(counts: Counts, samples: list[Sample]) -> list[dict[str, Any]]:
    """Books count no differences by camera: those of the pictures that were kept stand in."""
    proven = part(counts, "camera.")
    kept = Counter(sample.camera for sample in samples)
    rows = [
        {"name": name, "evidence": proven.get(name, 0), "kept_pictures": kept[name]}
        for name in {*proven, *kept}
    ]
    return sorted(rows, key=lambda row: (-row["evidence"], row["name"]))


def _covered(
    name: str, proven: Mapping[str, int], seen: Mapping[str, int], different: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "name": name,
        "evidence": proven.get(name, 0),
        "seen": seen.get(name, 0),
        "different": different.get(name, 0),
    }


def _seen_by(counts: Counts, what: str) -> Counter[str]:
    """`seen.<light>.<label>`, by one of the two; a label may hold dots, a light does not."""
    found: Counter[str] = Counter()
    for name, count in part(counts, "seen.").items():
        light, _, label = name.partition(".")
        found[light if what == "light" else label] += count
    return found


def _different_by(counts: Counts, what: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, count in part(counts, "kind.").items():
        _, light, label = (*name.split(".", 2), "", "")[:3]
        found[light if what == "light" else label] += count
    return found


def _kinds(counts: Counts) -> list[dict[str, Any]]:
    """Each kind with the classes that it happened to, most first."""
    by_kind: dict[str, Counter[str]] = {kind: Counter() for kind in DIFFERENCES}
    for name, count in part(counts, "kind.").items():
        kind, _, label = (*name.split(".", 2), "", "")[:3]
        by_kind.setdefault(kind, Counter())[label] += count
    return [
        {"kind": kind, "count": labels.total(), "classes": dict(labels.most_common())}
        for kind, labels in by_kind.items()
    ]


def _pairs(swaps: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = []
    for row in _most_first(swaps):
        legacy, _, triton = row["name"].partition("/")
        rows.append({"legacy": legacy, "triton": triton, "count": row["count"]})
    return rows


def _most_first(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {"name": name, "count": count}
        for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]
