"""Makes metrics, with their children by their labels' values, and says what may be such a value: never anything a
caller wrote."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final, Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backend.observe.events import BreakerState

M = TypeVar("M", Counter, Gauge, Histogram)
GaugeMode = Literal["livesum", "livemax", "livemin", "livemostrecent"]

NOBODY: Final = "none"  # the backend of a request that no side served
BREAKER_STATES: Final[Mapping[BreakerState, int]] = {"closed": 0, "half_open": 1, "open": 2}

OTHER = "other"
MAX_CHILDREN = 256  # of one metric; today's words make 63 at most
_DETECTOR = "detector"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


class Children(Generic[M]):
    """Each is looked up once in prometheus_client and kept: its own `labels` takes longer than the counting."""

    def __init__(self, metric: M, labels: tuple[str, ...], detectors: Collection[str]) -> None:
        self._metric: M = metric
        self._labels = labels
        self._detectors = frozenset(detectors)
        self._known: dict[tuple[str, ...], M] = {}

    def of(self, *values: str) -> M:
        known = self._known.get(values)
        return self._first(values) if known is None else known

    def _first(self, values: tuple[str, ...]) -> M:
        """Kept under the values that were let in: a stranger's are no key of ours, however many there are."""
        allowed = tuple(
            value if self._allows(label, value) else OTHER
            for label, value in zip(self._labels, values, strict=True)
        )
        if allowed not in self._known and len(self._known) >= MAX_CHILDREN:
            allowed = (OTHER,) * len(values)
        return self._known.setdefault(allowed, self._metric.labels(*allowed))

    def _allows(self, label: str, value: str) -> bool:
        """A detector by its name, anything else by its form: the words that our own code uses."""
        return value in self._detectors if label == _DETECTOR else _WORD.fullmatch(value) is not None


class Maker:
    def __init__(self, registry: CollectorRegistry, detectors: Collection[str]) -> None:
        self._registry = registry
        self._detectors = detectors

    def counter(self, name: str, meaning: str, *labels: str) -> Children[Counter]:
        return Children(Counter(name, meaning, labels, registry=self._registry), labels, self._detectors)

    def histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str
    ) -> Children[Histogram]:
        metric = Histogram(name, meaning, labels, buckets=buckets, registry=self._registry)
        return Children(metric, labels, self._detectors)

    def gauge(self, name: str, meaning: str, mode: GaugeMode, *labels: str) -> Children[Gauge]:
        metric = Gauge(name, meaning, labels, registry=self._registry, multiprocess_mode=mode)
        return Children(metric, labels, self._detectors)

    def lone_counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, registry=self._registry)

    def lone_gauge(self, name: str, meaning: str, mode: GaugeMode) -> Gauge:
        return Gauge(name, meaning, registry=self._registry, multiprocess_mode=mode)
