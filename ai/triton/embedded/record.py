"""What runs: `var/run/triton.json`, which other commands read, and the lock that keeps a second server away."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ai.triton.asking.wire import ADMIN_HEADER
from ai.triton.embedded.errors import CannotStart
from ai.triton.embedded.process import command_of


@dataclass(frozen=True, slots=True)
class RunningTriton:
    pid: int  # of tritonserver
    supervisor: int
    http_url: str
    grpc_url: str
    metrics_url: str
    admin_key: str
    repository: str
    mark: str  # begins the names of its files in /dev/shm, and is in the command line of all its processes

    @property
    def http_admin(self) -> dict[str, str]:
        """The headers that open what only an admin may do: models, shared memory, logging, tracing."""
        return http_admin(self.admin_key)

    @property
    def grpc_admin(self) -> dict[str, str]:
        """The same over gRPC."""
        return grpc_admin(self.admin_key)


def http_admin(key: str) -> dict[str, str]:
    return {ADMIN_HEADER: key}


def grpc_admin(key: str) -> dict[str, str]:
    """Triton takes over gRPC only headers that begin so."""
    return {f"triton-grpc-protocol-{ADMIN_HEADER}": key}


def running(var: Path) -> RunningTriton | None:
    """The server that was started with this `var`, if it runs right now."""
    try:
        record = RunningTriton(**json.loads(_path(var).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if record.mark in command_of(record.pid) else None


def write(var: Path, record: RunningTriton) -> None:
    path = _path(var)
    aside = path.with_suffix(".part")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(record), file, indent=2)
    aside.replace(path)


def remove(var: Path) -> None:
    _path(var).unlink(missing_ok=True)


@contextmanager
def alone(var: Path, mark: str) -> Iterator[str | None]:
    """Nobody else runs a server with this `var`; gives the mark of the one before, if it did not end well."""
    path = var / "run" / "triton.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"another Triton already runs with {var}; `crossfade status` shows it"
            ) from error
        lock.seek(0)
        before = lock.read() or None
        _rewrite(lock.fileno(), mark)
        yield before
        _rewrite(lock.fileno(), "")


def _rewrite(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, text.encode())


def _path(var: Path) -> Path:
    return var / "run" / "triton.json"
