"""What has passed through all workers since they began, in one document: what the console draws its plots from.

Its figures only rise. Whoever reads them takes differences, and begins anew where one has fallen: the backend was
started again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from backend.observe.labels import BREAKER_STATES, NOBODY
from backend.sides import SIDES, Side

Traffic = dict[str, Any]

_STATE_OF = {number: state for state, number in BREAKER_STATES.items()}


class Sample(Protocol):
    """As prometheus_client collects them."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def value(self) -> float: ...


class Figures:
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            self._samples[sample.name].append(sample)

    def of(self, name: str, **labels: str) -> list[Sample]:
        """Those of this name that have these labels, whatever else they have."""
        wanted = labels.items()
        return [sample for sample in self._samples[name] if wanted <= dict(sample.labels).items()]

    def counts(self, name: str, by: str, **labels: str) -> dict[str, int]:
        return {sample.labels[by]: int(sample.value) for sample in self.of(name, **labels)}

    def number(self, name: str, **labels: str) -> float | None:
        """None where there is nothing to say: no such figure, or none that is a number."""
        values = [sample.value for sample in self.of(name, **labels)]
        return values[0] if values and math.isfinite(values[0]) else None


def traffic_of(
    samples: Iterable[Sample], detectors: Collection[str], edges_s: Sequence[float], at: float
) -> Traffic:
    figures = Figures(samples)
    return {
        "at": at,
        "detectors": {detector: _of_detector(figures, detector, edges_s) for detector in sorted(detectors)},
        "edges_s": list(edges_s),
        "shed": figures.counts("detector_shed_total", "reason"),
        "retries": int(figures.number("detector_retries_total") or 0),
    }


def _of_detector(figures: Figures, detector: str, edges_s: Sequence[float]) -> Traffic:
    return {
        "sides": {side: _of_side(figures, detector, side, edges_s) for side in SIDES},
        "unserved": figures.counts("detector_requests_total", "outcome", detector=detector, backend=NOBODY),
        "fallbacks": _fallbacks(figures, detector),
        "compared": figures.counts("shadow_comparisons_total", "verdict", detector=detector),
        "headroom": figures.number("detector_fallback_headroom_ratio", detector=detector),
    }


def _of_side(figures: Figures, detector: str, side: Side, edges_s: Sequence[float]) -> Traffic:
    both = {"detector": detector, "backend": side}
    ready = figures.number("detector_ready", **both)
    return {
        "requests": figures.counts("detector_requests_total", "outcome", **both),
        "durations": _durations(figures, detector, side, edges_s),
        "attempts": figures.counts("detector_attempts_total", "code", **both),
        "in_flight_all_detectors": int(figures.number("detector_inflight", backend=side) or 0),
        "breaker": _STATE_OF[int(figures.number("detector_breaker_state", **both) or 0)],
        "ready": None if ready is None else bool(ready),
    }


def _durations(figures: Figures, detector: str, side: Side, edges_s: Sequence[float]) -> list[int]:
    """How many took no longer than each edge, and last how many there were at all."""
    name = "detector_request_duration_seconds_bucket"
    within = {
        float(edge): count
        for edge, count in figures.counts(name, "le", detector=detector, backend=side).items()
    }
    return [within.get(edge, 0) for edge in (*edges_s, math.inf)]


def _fallbacks(figures: Figures, detector: str) -> list[Traffic]:
    """Only those that there were: of all that there could be each page would be told for ever."""
    ways = figures.of("detector_fallbacks_total", detector=detector)
    return [
        {
            "from": way.labels["from"],
            "to": way.labels["to"],
            "reason": way.labels["reason"],
            "count": int(way.value),
        }
        for way in ways
        if way.value
    ]
