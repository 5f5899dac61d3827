"""The files in which the workers of one launcher keep their figures, and what becomes of a dead one's.

Its counters stay, or they would go down. Its gauges go, or they would stay for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from backend.observe import workers


def shared(directory: Path) -> CollectorRegistry:
    """Of all workers. Gauges that a dead one with this process' id has left are not taken over."""
    if values.ValueClass is values.MutexValue:
        raise RuntimeError(
            "prometheus_client was imported before workers.metrics_directory() was asked: nothing is shared"
        )
    for file in _live_gauges(directory):
        if _pid_of(file) == workers.this_pid():
            file.unlink(missing_ok=True)
    registry = CollectorRegistry()
    registry.register(_Workers(directory))
    return registry


class _Workers(Collector):
    """All workers' files, but for those that one of them has just opened or died over: they are still empty."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in self._directory.glob("*.db") if _has_begun(file)]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


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
