"""What a stack holds at a moment: memory, descriptors, threads and tasks of its processes, series, files, sockets."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.chaos.house import House

SHARED_MEMORY = Path("/dev/shm")
MIB = 2**20
KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Held:
    """By one process. Connections that callers keep open to it are theirs, and stand apart."""

    pid: int
    uss_mib: float  # memory that is nobody else's
    pss_mib: float  # … and its part of what it shares
    descriptors: int
    callers: int
    threads: int
    tasks: int | None = None
    names: Mapping[str, int] | None = None  # of the tasks
    blocks: int | None = (
        None  # that Python's own allocator has given out: tells its objects' growth from malloc's
    )


@dataclass(frozen=True)
class Sample:
    at_s: float
    requests: int  # that were answered so far
    quiet: bool  # no fault now, nor a moment ago
    held: Mapping[str, Held]
    series: Mapping[str, int]  # of the backend's metrics, by metric
    var_mib: Mapping[str, float]
    rows: Mapping[str, int]  # of the store, by table
    sockets: Mapping[str, int]  # of the backend, by state
    shm: int  # files in /dev/shm that are Triton's

    def to_table(self) -> dict[str, Any]:
        table: dict[str, Any] = {
            "at_s": round(self.at_s, 1), "requests": self.requests, "quiet": self.quiet,
            "series": sum(self.series.values()), "sockets": dict(self.sockets), "shm": self.shm,
            "rows": dict(self.rows), "var_mib": {name: round(size, 2) for name, size in self.var_mib.items()},
        }  # fmt: skip
        for name, held in self.held.items():
            table[name] = {
                "uss_mib": round(held.uss_mib, 1), "pss_mib": round(held.pss_mib, 1),
                "descriptors": held.descriptors, "threads": held.threads, "tasks": held.tasks, "blocks": held.blocks,
            }  # fmt: skip
        return table


class Sampler:
    """`counts` is where the workers write how many tasks they have (`tests.chaos.planted_leaks.count_tasks`)."""

    def __init__(self, house: House, counts: Path) -> None:
        self._house, self._counts = house, counts

    def look(self, at_s: float, requests: int, quiet: bool) -> Sample:
        backend = self._house.backend
        found = {name: self._held(pid) for name, pid in self._processes().items()}
        return Sample(
            at_s, requests, quiet,
            held={name: held for name, held in found.items() if held is not None},
            series=self._series(), var_mib=_sizes(backend.var, backend.log),
            rows=_rows(backend.var / "crossfade.db"),
            sockets=_sockets([backend.pid, *backend.workers]),
            shm=sum(1 for file in SHARED_MEMORY.iterdir() if self._house.triton.plan.mark in file.name),
        )  # fmt: skip

    def _processes(self) -> dict[str, int]:
        house = self._house
        found = {"launcher": house.backend.pid}
        found |= {f"worker {number}": pid for number, pid in enumerate(sorted(house.backend.workers), 1)}
        with suppress(Exception):  # in the middle of a restart
            found |= {"legacy": house.legacy.pid, "triton": house.triton.pid}
            found |= {f"stub {number}": pid for number, pid in enumerate(house.triton.stub_pids(), 1)}
        return found

    def _held(self, pid: int) -> Held | None:
        try:
            memory = _memory_mib(pid)
            descriptors, callers = _descriptors(pid, self._house.backend.port)
            threads = psutil.Process(pid).num_threads()
        except (OSError, psutil.Error):  # it has just ended
            return None
        told = self._told_of(pid)
        return Held(
            pid,
            *memory,
            descriptors,
            callers,
            threads,
            told.get("tasks"),
            told.get("names"),
            told.get("blocks"),
        )

    def _told_of(self, pid: int) -> dict[str, Any]:
        file = self._counts / f"{pid}.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def _series(self) -> Counter[str]:
        """None where they were not said: what stands in an error is no metric."""
        said = httpx.get(self._house.backend.url + "/metrics", timeout=30, trust_env=False)
        lines = said.text.splitlines() if said.status_code == httpx.codes.OK else []
        return Counter(line.partition("{")[0].partition(" ")[0] for line in lines if line[:1] != "#")


def _memory_mib(pid: int) -> tuple[float, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    own = kib["Private_Clean"] + kib["Private_Dirty"] + kib.get("Swap", 0)
    return own / KIB_PER_MIB, kib["Pss"] / KIB_PER_MIB


def _descriptors(pid: int, port: int) -> tuple[int, int]:
    """All but the connections that callers have open, and those."""
    callers = sum(
        1 for one in psutil.Process(pid).net_connections("tcp")
        if one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
    )  # fmt: skip
    return len(list(Path(f"/proc/{pid}/fd").iterdir())) - callers, callers


def _sockets(pids: list[int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for pid in pids:
        with suppress(psutil.Error):
            found.update(one.status for one in psutil.Process(pid).net_connections("tcp"))
    return found


def _sizes(var: Path, log: Path) -> dict[str, float]:
    sizes = Counter({"log": _bytes(log)})
    for file in var.rglob("*"):
        kind = (
            "run" if "run" in file.parts else "store" if file.name.startswith("crossfade.db") else file.name
        )
        sizes[kind] += _bytes(file)
    return {kind: size / MIB for kind, size in sizes.items()}


def _bytes(file: Path) -> int:
    with suppress(OSError):  # it has just gone
        return file.stat().st_size if file.is_file() else 0
    return 0


def _rows(store: Path) -> dict[str, int]:
    """Of each of its tables; none where it is locked just now."""
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5)) as opened:
            tables = [
                name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {name: opened.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    except sqlite3.OperationalError:
        return {}
