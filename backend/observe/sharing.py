"""The files in which the workers of one launcher keep their figures, and what becomes of a dead one's.

Its counters stay, or they would go down. Its gauges go, or they would stay for ever. A worker whose gauge is NaN has
nothing to say, and hides nobody who has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from backend.observe import workers
from backend.observe.reserving import reserve_what_is_mapped


def shared(directory: Path) -> CollectorRegistry:
    """Of all workers. Gauges that a dead one with this process' id has left are not taken over."""
    if values.ValueClass is values.MutexValue:
        raise RuntimeError(
            "prometheus_client was imported before workers.metrics_directory() was asked: nothing is shared"
        )
    for file in _live_gauges(directory):
        if _pid_of(file) == workers.this_pid():
            file.unlink(missing_ok=True)
    reserve_what_is_mapped()
    registry = CollectorRegistry()
    registry.register(_Workers(directory))
    return registry


class _Workers(Collector):
    """All workers' files, but for those that one of them has just opened or died over: they are still empty."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in self._directory.glob("*.db") if _has_begun(file)]
        metrics = MultiProcessCollector._read_metrics(files)  # type: ignore[no-untyped-call]
        for metric in metrics.values():
            if metric.type == "gauge":
                metric.samples = _of_those_who_know(metric.samples)
        merged: Iterable[Metric] = MultiProcessCollector._accumulate_metrics(metrics, True)  # type: ignore[no-untyped-call]
        return merged


def _of_those_who_know(samples: list[Sample]) -> list[Sample]:
    """Its `merge` would compare with NaN, which nothing is less than: whose file is read first would decide."""
    known = {_series(sample) for sample in samples if not math.isnan(sample.value)}
    return [one for one in samples if not math.isnan(one.value) or _series(one) not in known]


def _series(sample: Sample) -> frozenset[tuple[str, str]]:
    """Its labels without the worker's `pid`; they come as pairs, not as the table that their type says."""
    return frozenset((name, value) for name, value in dict(sample.labels).items() if name != "pid")


def _has_begun(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # a dead worker's, and another scrape was faster
        return False


def forget_the_dead(directory: Path) -> None:
    for file in _live_gauges(directory):
        if not workers.is_sibling(_pid_of(file)):
            file.unlink(missing_ok=True)  # another worker may be scraped at the same moment


def _live_gauges(directory: Path) -> list[Path]:
    return list(directory.glob("gauge_live*_*.db"))


def _pid_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])
