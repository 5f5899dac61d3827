"""The machine that a figure was measured on, by name. A figure without it says nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch",
    "openvino",
    "nvidia-pytriton",
    "ultralytics-opencv-headless",
    "numpy",
    "opencv-python-headless",
    "fastapi",
    "uvicorn",
    "uvloop",
)


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    memory_gib: float
    gpus: tuple[str, ...]
    os: str
    kernel: str
    python: str
    packages: dict[str, str]
    load_average_1m: float  # before the first measurement: what else was running

    @property
    def torch(self) -> str:
        return self.packages.get("torch", "missing")

    @property
    def kind(self) -> str:
        """What a result is named after where nobody names it."""
        return "gpu" if self.gpus else "cpu"

    @property
    def title(self) -> str:
        gpus = "".join(f", {gpu}" for gpu in self.gpus) or ", no GPU"
        return f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB{gpus}"


def this_machine() -> Machine:
    return Machine(
        cpu=_cpu(),
        cores=len(usable_cores()),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        gpus=_gpus(),
        os=_os(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        load_average_1m=round(os.getloadavg()[0], 2),
    )


def usable_cores() -> set[int]:
    """That this process may use, by number."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def shown_gpus() -> list[str]:
    """That CUDA shows this process, by number or name; none: all of them."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # noqa: TID251 - CUDA reads it, and nvidia-smi does not
    return [one.strip() for one in shown.split(",") if one.strip()]


def _gpus() -> tuple[str, ...]:
    """Name, memory and driver of each, as nvidia-smi tells them; none where it is missing or fails."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return ()
    query = [smi, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    query += [f"--id={','.join(shown)}"] if (shown := shown_gpus()) else []
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def _os() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
