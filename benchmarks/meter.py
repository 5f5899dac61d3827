"""What the processors that this program may use did between two moments, and for whom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]  # its types are a package of their own that nothing else needs

from benchmarks.machine import usable_cores


@dataclass(frozen=True, slots=True)
class Cores:
    """Processors kept busy, on average: 1.0 is one core at work all the time."""

    server: float | None  # the processes under load and their children, if their ids are known
    loadgen: float
    others: float | None  # every other process, on the same processors


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds used so far."""

    at_ns: int
    own_s: float
    server_s: float | None
    machine_s: float

    @classmethod
    def take(cls, *server_pids: int) -> Reading:
        server_s = _families_s(server_pids) if server_pids else None
        return cls(time.perf_counter_ns(), time.process_time(), server_s, _machine_s())

    def cores_until(self, later: Reading) -> Cores:
        wall_s = (later.at_ns - self.at_ns) / 1e9
        own_s, machine_s = later.own_s - self.own_s, later.machine_s - self.machine_s
        if self.server_s is None or later.server_s is None:
            return Cores(None, own_s / wall_s, None)
        server_s = later.server_s - self.server_s
        # The kernel counts the machine in ticks of 10 ms: a quiet one can come out below nothing.
        return Cores(server_s / wall_s, own_s / wall_s, max(0.0, machine_s - server_s - own_s) / wall_s)


def _families_s(pids: Sequence[int]) -> float | None:
    families = [_family_s(pid) for pid in pids]
    return None if None in families else sum(filter(None, families))


def _family_s(pid: int) -> float | None:
    try:
        parent = psutil.Process(pid)
        members = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    total_s = 0.0
    for member in members:
        with suppress(psutil.NoSuchProcess):  # a child that ended just now
            times = member.cpu_times()
            total_s += times.user + times.system
    return total_s


def _machine_s() -> float:
    usable = usable_cores()
    return sum(_busy_s(times) for core, times in enumerate(psutil.cpu_times(percpu=True)) if core in usable)


def _busy_s(times: Any) -> float:
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - _counted_twice(times))


def _counted_twice(times: object) -> float:
    """Linux counts guests in `user` and `nice` as well; `steal` was another machine's."""
    return float(sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice", "steal")))
