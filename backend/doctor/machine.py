"""What the machine gives: Python, ports, a GPU, disk and shared memory."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ai.triton.embedded import record
from backend.doctor.finding import Finding, Level, Patient
from backend.settings import Settings
from backend.stack import health
from backend.stack.journal import Journal
from backend.stack.plan import parts_of
from backend.stack.ports import holder_of, why_not_free, words_of

OLDEST, NEWEST = (3, 11), (3, 13)
_MIB = 1024 * 1024
_LOW_DISK_BYTES, _NO_DISK_BYTES = 2048 * _MIB, 200 * _MIB
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's shared memory, no temporary file of ours
_LOW_SHARED_BYTES = 64 * _MIB  # what a container gets by default
_LOOK_TIMEOUT_S = 60.0


def python() -> Finding:
    here = sys.version_info[:2]
    if OLDEST <= here <= NEWEST:
        return Finding("python", "OK", platform.python_version())
    return Finding(
        "python",
        "FAIL",
        f"{platform.python_version()}, needed is 3.11 to 3.13",
        "make PYTHON=python3.12 setup",
    )


def ports(patient: Patient) -> Iterator[Finding]:
    for part in parts_of(patient.settings, patient.embedded):
        for variable, port in part.ports.items():
            yield _port(patient.settings, part.name, variable, port)


def _port(settings: Settings, name: str, variable: str, port: int) -> Finding:
    why, about = why_not_free(port), f"port {port}"
    if why is None:
        return Finding(about, "OK", f"free for {name}")
    holder = holder_of(port) if why == "taken" else None
    if holder is not None and holder[0] in _ours(settings):
        return Finding(about, "OK", f"held by our {name}, process {holder[0]}")
    return Finding(
        about, "FAIL", f"{why}: {words_of(holder)}; {name} needs it", f"end that, or set {variable}"
    )


def _ours(settings: Settings) -> set[int]:
    """A worker holds the port of its parent's, and Triton runs under a supervisor."""
    known = Journal(settings.crossfade_var).known()
    triton = record.running(settings.crossfade_var)
    return {pid for one in known for pid in one.members} | ({triton.pid} if triton else set())


def gpu(patient: Patient) -> Iterator[Finding]:
    """What is there, and what the services that run really use."""
    cards = _cards()
    yield Finding("gpu", "OK", "; ".join(cards) if cards else "no GPU: CPU engines")
    for name, url in patient.settings.legacy_urls.items():
        answer = health.ask(f"{url}/health")
        device = str(answer[1].get("device")) if answer else None
        if device and cards and device == "cpu":
            yield Finding(name, "warning", "runs on the CPU although there is a GPU",
                          f"`make clean setup` without PyTorch's CPU build, or {name.upper()}_DEVICE=auto")  # fmt: skip
        elif device:
            yield Finding(name, "OK", f"runs on {device}")


def _cards() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LOOK_TIMEOUT_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return asked.stdout.strip().splitlines() if asked.returncode == 0 else []


def disk(patient: Patient) -> Iterator[Finding]:
    var = patient.settings.crossfade_var.absolute()
    there = next(folder for folder in (var, *var.parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("disk", "FAIL", f"{there} cannot be written", "set CROSSFADE_VAR to a folder of yours")
        return
    free = shutil.disk_usage(there).free
    level: Level = "FAIL" if free < _NO_DISK_BYTES else "warning" if free < _LOW_DISK_BYTES else "OK"
    yield Finding("disk", level, f"{free / _MIB:,.0f} MiB free for {var}",
                  None if level == "OK" else "make room, or set CROSSFADE_VAR")  # fmt: skip


def shared_memory(patient: Patient) -> Iterator[Finding]:
    """Triton and its models hand each other pictures there."""
    if not patient.runs_triton or not _SHARED_MEMORY.exists():
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    low = free < _LOW_SHARED_BYTES
    yield Finding("shm", "warning" if low else "OK", f"{free / _MIB:,.0f} MiB free in {_SHARED_MEMORY}",
                  "docker run --shm-size=1g" if low else None)  # fmt: skip
