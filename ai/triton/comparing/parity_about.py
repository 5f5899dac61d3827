"""Where a figure was made: versions and machine. Without them it says nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("crossfade", "torch", "ultralytics-opencv-headless", "onnxruntime", "openvino", "nvidia-pytriton",
            "tritonclient", "numpy", "opencv-python-headless", "simplejpeg", "pycocotools")  # fmt: skip


def versions(triton: str | None) -> dict[str, str]:
    found = {name: known for name in PACKAGES if (known := _version(name))}
    served = {"tritonserver": triton} if triton else {}
    return {"python": platform.python_version(), **served, **found}


def machine() -> str:
    gpus = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return f"{_cpu()}, {len(os.sched_getaffinity(0))} cores, {gpus or 'no GPU'}, {platform.platform()}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
