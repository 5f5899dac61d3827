"""What is installed: the versions that were tested together, and a PyTorch that knows this machine's GPU."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import backend
from backend.doctor.finding import Finding, Patient
from backend.doctor.machine import cards

CONSTRAINTS = Path(backend.__file__).resolve().parents[1] / "constraints.txt"
NUMPY_BELOW = 2  # with numpy 2 the embedded Triton sends empty tensors
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;#]+)")
_SHOWN = 3
_TORCH_INDEX = "https://download.pytorch.org/whl/cu128"


def packages(_: Patient) -> Iterator[Finding]:
    if numpy := _installed("numpy"):
        yield from _numpy(numpy)
    if not CONSTRAINTS.is_file():
        return  # installed from a wheel: nothing says what it was tested with
    other = dict(others(pinned(CONSTRAINTS.read_text(encoding="utf-8"))))
    if not other:
        yield Finding("packages", "OK", f"as tested together ({CONSTRAINTS.name})")
        return
    told = ", ".join(f"{name} {version}" for name, version in sorted(other.items())[:_SHOWN])
    more = f" and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
    yield Finding("packages", "warning", f"other versions than were tested together: {told}{more}",
                  f"{sys.executable} -m pip install -c {CONSTRAINTS} {' '.join(sorted(other))}")  # fmt: skip


def _numpy(version: str) -> Iterator[Finding]:
    if int(version.split(".", maxsplit=1)[0]) >= NUMPY_BELOW:
        yield Finding("numpy", "FAIL", f"{version}: the embedded Triton sends empty tensors with it",
                      f"{sys.executable} -m pip install 'numpy<{NUMPY_BELOW}'")  # fmt: skip


def pinned(constraints: str) -> Mapping[str, str]:
    return {match[1]: match[2] for line in constraints.splitlines() if (match := _PIN.match(line))}


def others(pins: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is installed in another version; a build for a CPU or a GPU (`2.13.0+cpu`) is the same one."""
    for name, wanted in pins.items():
        version = _installed(name)
        if version is not None and version.split("+")[0] != wanted.split("+")[0]:
            yield name, f"{version} (tested: {wanted})"


def torch_build(_: Patient) -> Iterator[Finding]:
    """Of PyTorch's name alone: to import it takes seconds."""
    version = _installed("torch")
    if version is None:
        yield Finding("torch", "FAIL", "PyTorch is not installed: no legacy service can start", "make setup")
    elif version.endswith("+cpu") and (found := cards()):
        yield Finding("torch", "warning", f"{version} is PyTorch's CPU build, and there is a GPU: {found[0]}",
                      f"{sys.executable} -m pip install --force-reinstall torch=={version.split('+')[0]} "
                      f"--index-url {_TORCH_INDEX}")  # fmt: skip


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
