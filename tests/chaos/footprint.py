"""What a backend holds: memory at its peak, files and pipes, connections of callers who are not the load's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.backends import Backend

SETTLED_S = 30.0
FEW_FILES = 4  # the store's helpers, a log that is opened anew


@dataclass(frozen=True)
class Footprint:
    """Of a backend with one worker, at the moment that it was made; what grew is told from there."""

    backend: Backend
    resident_bytes: int
    files: int

    @classmethod
    def of(cls, backend: Backend) -> Footprint:
        Path(f"/proc/{backend.pid}/clear_refs").write_text("5")  # its peak begins anew
        return cls(backend, _status_bytes(backend.pid, "VmRSS"), _files(backend.pid))

    def peak_grown_bytes(self) -> int:
        return _status_bytes(self.backend.pid, "VmHWM") - self.resident_bytes

    def left_behind(self) -> str:
        """What is still held that was not before, in words, after some patience; nothing is the empty word."""
        ends_at = time.monotonic() + SETTLED_S
        while (words := self._left()) and time.monotonic() < ends_at:
            time.sleep(0.1)
        return words

    def _left(self) -> str:
        files, strangers = _files(self.backend.pid) - self.files, _strangers(self.backend)
        more = f"{files} files more than before" if files > FEW_FILES else ""
        kept = f"{strangers} connections of callers who are gone" if strangers else ""
        return " and ".join(filter(None, (more, kept)))


def _files(pid: int) -> int:
    """Without sockets: how many of those there are, the load and the sides say."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += not str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return found


def _strangers(backend: Backend) -> int:
    """Its ends of connections whose other ends are closed, or of nobody in this process."""
    ours = {
        one.laddr.port for one in psutil.Process().net_connections("tcp")
        if one.raddr and one.raddr.port == backend.port
    }  # fmt: skip
    theirs = psutil.Process(backend.pid).net_connections("tcp")
    accepted = [one for one in theirs if one.laddr.port == backend.port and one.raddr]
    return sum(1 for one in accepted if one.raddr.port not in ours)


def _status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)
