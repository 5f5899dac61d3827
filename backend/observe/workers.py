"""Which process this is among the workers of one `uvicorn --workers N`, and where they put their figures together.

Read from /proc: a process id alone says little, since it is given again, and in a container it is the same after each
start. prometheus_client decides at its import whether figures are shared, so this module does not import it, and
whoever composes asks `metrics_directory` first.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "metrics-"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class _Process:
    state: str  # Z: it is dead, and nobody has asked how it died
    parent: int
    started: str  # in ticks since the machine's start


def worker_id() -> str:
    """Host, process id, and a hash of the moment: readable, a file name, and no two workers of a fleet share it."""
    return _identity(os.getpid()) or f"{_host()}-{os.getpid()}"


def this_pid() -> int:
    return os.getpid()


def is_sibling(pid: int) -> bool:
    """A living child of this process' parent. Any other process with this id came into it later."""
    process = _process(pid)
    return process is not None and process.parent == os.getppid()


def metrics_directory(var: Path) -> Path | None:
    """The directory that all children of this launcher share, made afresh for it; None for a process that is alone."""
    if multiprocessing.parent_process() is None:
        return None
    launcher = os.getppid()
    run = (var / "run").absolute()
    directory = run / f"{_PREFIX}{_identity(launcher) or launcher}"
    directory.mkdir(parents=True, exist_ok=True)
    _sweep(run)
    _tell_prometheus(directory)
    return directory


def _tell_prometheus(directory: Path) -> None:
    if "prometheus_client" in sys.modules and os.environ.get(_VARIABLE) != str(directory):  # noqa: TID251 - see below
        raise RuntimeError(
            "prometheus_client was imported before metrics_directory() was asked: the workers' figures would not add up"
        )
    os.environ[_VARIABLE] = str(directory)  # noqa: TID251 - the one way to tell prometheus_client; it reads no setting


def _sweep(run: Path) -> None:
    """Remove what the dead launchers of this host left. Siblings that start together may do so at once."""
    for directory in run.glob(f"{_PREFIX}{_host()}-*"):
        pid, _, moment = directory.name.removeprefix(f"{_PREFIX}{_host()}-").partition("-")
        if pid.isdigit() and moment and directory.name != f"{_PREFIX}{_identity(int(pid))}":
            shutil.rmtree(directory, ignore_errors=True)


def _identity(pid: int) -> str | None:
    """The same for every process that asks; None for a process that does not live."""
    process = _process(pid)
    if process is None:
        return None
    moment = blake2b(f"{_boot()} {process.started}".encode(), digest_size=4).hexdigest()
    return f"{_host()}-{pid}-{moment}"


def _process(pid: int) -> _Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    process = _Process(state=fields[0], parent=int(fields[1]), started=fields[19])
    return None if process.state in {"Z", "X"} else process


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64] or "host"
