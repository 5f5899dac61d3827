"""What a suite may need of a machine, and how it is got."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.machine import this_machine
from benchmarks.processes import ROOT

CANNOT_RUN_HERE = 5  # the exit status of what this machine lacks something for: `crossfade` tells it so too


@dataclass(frozen=True, slots=True)
class Need:
    name: str
    how: str  # where it is not here
    is_here: Callable[[], bool]


def _has(*modules: str) -> Callable[[], bool]:
    return lambda: all(find_spec(module) is not None for module in modules)


TRITON = Need("Triton", "the extra `embedded` (make setup installs it)", _has("pytriton"))
ENVIRONMENT = Need(
    "models", "torch and the other extras (make setup installs them)", _has("torch", "ultralytics")
)
NVIDIA_GPU = Need(
    "NVIDIA GPU", "a machine with one, whose driver answers nvidia-smi", lambda: bool(this_machine().gpus)
)
TESTS = Need("tests", "the whole repository, tests/ among it", (ROOT / "tests").is_dir)
