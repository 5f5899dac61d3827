"""A process of ours as it is on record: known again by its birth, with all that it started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.05
_DEATH_S = 5.0  # between SIGKILL and the end of a process that waits for a device
_SESSION, _STATE, _BORN = 3, 0, 19  # fields of /proc/PID/stat behind the name, see proc(5)
_SLACK_S = 1.0  # of a birth: the kernel counts in ticks, and two clocks are read


@dataclass(frozen=True, slots=True)
class Running:
    name: str
    url: str
    pid: int
    born: str  # in the kernel's ticks: process ids are used again
    log: str
    patience_s: float
    stage: int
    starter: int  # the process of `crossfade up`

    @property
    def alive(self) -> bool:
        return lives(self.pid, self.born)

    @property
    def began_at(self) -> float:
        """By the wall clock, a second early at most; also when it has ended."""
        if not self.born:
            return time.time()
        booted_at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return booted_at + int(self.born) / os.sysconf("SC_CLK_TCK") - _SLACK_S

    @property
    def left_over(self) -> list[int]:
        """What it started and left behind when it was killed. Its session's number is nobody else's meanwhile."""
        if _stat(self.pid) and not self._is_zombie:
            return []
        return [pid for pid in self.members if pid != self.pid]

    @property
    def members(self) -> list[int]:
        """It and all that it started."""
        return [pid for pid in _all_pids() if _session_of(pid) == str(self.pid)]

    @property
    def _is_zombie(self) -> bool:
        fields = _stat(self.pid)
        return bool(fields) and fields[_STATE] in "ZX"

    def ask_to_end(self) -> None:
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """With all its children; they are gone when this returns."""
        if not self.alive and not self.left_over:
            return
        deadline = time.monotonic() + _DEATH_S
        while (left := self.members) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_S)
            reap(self.pid)


def reap(pid: int) -> None:
    """Take leave of a child that has ended."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def lives(pid: int, birth: str) -> bool:
    """And is the one that was born then."""
    fields = _stat(pid)
    return bool(fields) and fields[_BORN] == birth and fields[_STATE] not in "ZX"


def born(pid: int) -> str:
    """Empty for a process that is gone."""
    fields = _stat(pid)
    return fields[_BORN] if fields else ""


def _all_pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _session_of(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[_SESSION] if fields and fields[_STATE] not in "ZX" else None


def _stat(pid: int) -> list[str]:
    """Behind the name, which may hold anything; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
