"""What the machine gives: Python, ports, a GPU, disk, memory and a clock."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ai.triton.embedded import record
from backend.doctor.finding import Finding, Level, Patient
from backend.settings import ENV_FILE, Settings
from backend.stack import health
from backend.stack.journal import Journal
from backend.stack.plan import parts_of
from backend.stack.ports import holder_of, why_not_free, words_of

OLDEST, NEWEST = (3, 11), (3, 13)
_OPEN_PORTS_FROM = 1024
_CLOCK_BEHIND_S = 3600.0
_MIB = 1024 * 1024
_LOW_DISK_BYTES, _NO_DISK_BYTES = 2048 * _MIB, 200 * _MIB
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's shared memory, no temporary file of ours
_LOW_SHARED_BYTES = 64 * _MIB  # what a container gets by default
_LOW_MEMORY_BYTES = 2048 * _MIB  # the whole stack at rest takes 1.3 GiB, on 2 cores with the drawn weights
_MEMORY, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
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
    """Each that a part listens on; the second that wants the same one finds it taken by the first."""
    wanted: dict[int, str] = {}
    for part in parts_of(patient.settings, patient.embedded):
        for variable, port in part.ports.items():
            if other := wanted.get(port):
                yield Finding(f"port {port}", "FAIL", f"{other} and {variable} both say it",
                              f"export {variable}={_free_port()}, or that in {ENV_FILE.absolute()}")  # fmt: skip
            else:
                yield _port(patient.settings, part.name, variable, port)
            wanted.setdefault(port, variable)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def host(patient: Patient) -> Iterator[Finding]:
    """Where the backend listens: an address of this machine's."""
    name = patient.settings.host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        yield Finding("host", "FAIL", f"HOST={name} is no address of this machine: {error.strerror or error}",
                      "export HOST=127.0.0.1, or 0.0.0.0 for every address; ip -brief address shows this machine's"
                      )  # fmt: skip


def _port(settings: Settings, name: str, variable: str, port: int) -> Finding:
    why, about = why_not_free(port), f"port {port}"
    if why is None:
        return Finding(about, "OK", f"free for {name}")
    holder = holder_of(port) if why == "taken" else None
    if holder is not None and holder[0] in _ours(settings):
        return Finding(about, "OK", f"held by our {name}, process {holder[0]}")
    words = f"{why}: {words_of(holder)}; {name} needs it"
    return Finding(about, "FAIL", words, f"{_ending(holder, port)}, or set {variable} to another address")


def _ending(holder: tuple[int, str] | None, port: int) -> str:
    if port < _OPEN_PORTS_FROM:
        return f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"
    return f"kill {holder[0]}" if holder else f"sudo ss -ltnp sport = :{port} shows whose it is"


def _ours(settings: Settings) -> set[int]:
    """A worker holds the port of its parent's, and Triton runs under a supervisor."""
    known = Journal(settings.crossfade_var).known()
    triton = record.running(settings.crossfade_var)
    return {pid for one in known for pid in one.members} | ({triton.pid} if triton else set())


def gpu(patient: Patient) -> Iterator[Finding]:
    """What is there, and what the services that run really use."""
    found = cards()
    yield Finding("gpu", "OK", "; ".join(found) if found else "no GPU: CPU engines")
    for name, url in patient.settings.legacy_urls.items():
        answer = health.ask(f"{url}/health")
        device = str(answer[1].get("device")) if answer else None
        if device and found and device == "cpu":
            yield Finding(name, "warning", "runs on the CPU although there is a GPU",
                          f"{name.upper()}_DEVICE=auto in .env, then crossfade down and crossfade up")  # fmt: skip
        elif device:
            yield Finding(name, "OK", f"runs on {device}")


def cards() -> list[str]:
    """Those of NVIDIA's driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(  # noqa: S603 - our own words, no shell
            command, capture_output=True, text=True, check=False, timeout=_LOOK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return asked.stdout.strip().splitlines() if asked.returncode == 0 else []


def disk(patient: Patient) -> Iterator[Finding]:
    var = patient.settings.crossfade_var.absolute()
    there = next(folder for folder in (var, *var.parents) if folder.exists())
    if not there.is_dir():
        yield Finding("disk", "FAIL", f"{there} is a file, and a folder is needed there",
                      f"mv {shlex.quote(str(there))} {shlex.quote(str(there))}.was")  # fmt: skip
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("disk", "FAIL", f"{there} cannot be written",
                      f"sudo chown -R {os.getuid()} {there}, or set CROSSFADE_VAR to a folder of yours")  # fmt: skip
        return
    free = shutil.disk_usage(there).free
    level: Level = "FAIL" if free < _NO_DISK_BYTES else "warning" if free < _LOW_DISK_BYTES else "OK"
    yield Finding("disk", level, f"{free / _MIB:,.0f} MiB free for {var}",
                  None if level == "OK" else f"du -sh {there}/* shows what to remove; or set CROSSFADE_VAR"
                  )  # fmt: skip


def shared_memory(patient: Patient) -> Iterator[Finding]:
    """Triton and its models hand each other pictures there."""
    if not patient.runs_triton or not _SHARED_MEMORY.exists():
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    low = free < _LOW_SHARED_BYTES
    yield Finding("shm", "warning" if low else "OK", f"{free / _MIB:,.0f} MiB free in {_SHARED_MEMORY}",
                  "sudo mount -o remount,size=1g /dev/shm; in a container docker run --shm-size=1g"
                  if low else None)  # fmt: skip


def memory(patient: Patient) -> Iterator[Finding]:
    """What is free for a stack that is to start; one that runs has taken its part."""
    free = free_memory_bytes()
    if free is None or Journal(patient.settings.crossfade_var).known():
        return
    low = free < _LOW_MEMORY_BYTES
    yield Finding("memory", "warning" if low else "OK", f"{free / _MIB:,.0f} MiB free",
                  "ps aux --sort=-rss | head shows who has it; TRITON_ENABLED=false in .env does without Triton"
                  if low else None)  # fmt: skip


def free_memory_bytes(meminfo: Path = _MEMORY, cgroup: Path = _CGROUP) -> int | None:
    """The machine's, or what a container may still take, whichever is less."""
    try:
        said = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(said["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        return min(
            free, int((cgroup / "memory.max").read_text()) - int((cgroup / "memory.current").read_text())
        )
    except (OSError, ValueError):  # "max": no bound
        return free


def clock(_: Patient) -> Iterator[Finding]:
    """Before this program was installed: then every time in the history, and every certificate's, is wrong."""
    behind_s = Path(__file__).stat().st_mtime - time.time()
    if behind_s > _CLOCK_BEHIND_S:
        yield Finding("clock", "FAIL", f"it is {behind_s / 3600:,.0f} hours before this program was installed",
                      "sudo timedatectl set-ntp true")  # fmt: skip
