"""What our parts stand on: the embedded Triton's wheel, the detectors' weights, and the admin's key."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from ai.core.errors import CrossfadeError
from ai.triton.embedded import wheel
from backend.doctor.finding import Finding, Patient
from backend.stack.backend_api import key_file
from backend.stack.plan import TRITON, command_of, why_no_triton

_LOOK_TIMEOUT_S = 60.0
_WHEEL = "pip install --force-reinstall nvidia-pytriton==0.7.0 'numpy<2'"
_NAMES = {"rtdetr": "rtdetr-l.pt", "yolo26": "yolo26m.pt"}
_OTHERS = 0o077  # who may more than its owner alone


def embedded_triton(patient: Patient) -> Iterator[Finding]:
    if not patient.runs_triton:
        elsewhere = f"{patient.settings.triton_url} is not on this machine: used, not started here"
        yield Finding(TRITON, "OK", why_no_triton(patient.settings) or elsewhere)
        return
    machine = wheel.Machine.here()
    try:
        parts = wheel.find(machine)
    except CrossfadeError as error:
        yield Finding(
            TRITON,
            "FAIL",
            str(error),
            f"{sys.executable} -m {_WHEEL}; or do without: TRITON_ENABLED=false in .env",
        )
        return
    glibc, (major, minor) = " ".join(machine.libc), machine.python
    library = f"libpython{major}.{minor} from {parts.libraries[-1]}"
    yield Finding(
        TRITON,
        "OK",
        f"the wheel is whole; {glibc} (2.35 or newer), its part for Python {major}.{minor}, {library}",
    )


def models(patient: Patient) -> Iterator[Finding]:
    """In a process of its own, which imports torch."""
    try:
        found = _conditions()
    except (CrossfadeError, OSError, subprocess.TimeoutExpired, ValueError) as error:
        yield Finding("weights", "FAIL", f"cannot be looked at: {error}", "make setup")
        return
    for one in found:
        yield from _model(one, patient.runs_triton)


def _conditions() -> list[dict[str, Any]]:
    asked = subprocess.run(  # noqa: S603 - our own module
        command_of("ai.triton.building.condition"),
        capture_output=True, text=True, check=False, timeout=_LOOK_TIMEOUT_S,
    )  # fmt: skip
    if asked.returncode:
        raise CrossfadeError((asked.stderr.strip().splitlines() or ["it said nothing"])[-1])
    found: list[dict[str, Any]] = json.loads(asked.stdout)
    return found


def _model(one: dict[str, Any], runs_triton: bool) -> Iterator[Finding]:
    name, build = one["detector"], f"crossfade models build {one['detector']}"
    if one["problem"]:
        yield Finding(
            name,
            "FAIL",
            one["problem"],
            f"{name.upper()}_WEIGHTS=demo in .env; or a file, or a name that ultralytics knows, such as {_NAMES[name]}",
        )
    elif not runs_triton:
        yield Finding(name, "OK", "its weights can be read")
    elif one["version"] is None:
        yield Finding(
            name,
            "warning",
            "its weights can be read; nothing is built for Triton yet",
            f"{build} (`up` does it)",
        )
    elif not one["current"]:
        yield Finding(
            name,
            "warning",
            f"Triton's version {one['version']} was built from other weights",
            f"{build} (`up` does it)",
        )
    else:
        yield Finding(
            name, "OK", f"its weights can be read, and Triton's version {one['version']} was built from them"
        )


def key(patient: Patient) -> Iterator[Finding]:
    """The admin's, which the backend made for this user alone."""
    file = key_file(patient.settings)
    try:
        about = file.stat()
    except OSError:
        return  # made at the first start, or a key is configured
    name = shlex.quote(str(file))
    if not stat.S_ISREG(about.st_mode) or not about.st_size:
        what = "is empty" if stat.S_ISREG(about.st_mode) else "is no file"
        yield Finding("admin key", "FAIL", f"{file} {what}, so nobody has the admin's key",
                      f"crossfade down && mv {name} {name}.was; crossfade up makes another")  # fmt: skip
    elif about.st_mode & _OTHERS:
        words = (
            f"{file} can be read or written by others ({stat.filemode(about.st_mode)}): it is the admin's key"
        )
        yield Finding("admin key", "FAIL", words, f"chmod 600 {name}")
    elif not os.access(file, os.R_OK):
        words = f"{file} cannot be read by this user, so no command may change anything"
        yield Finding("admin key", "FAIL", words, f"sudo chown {os.getuid()} {name}")
    else:
        yield Finding("admin key", "OK", f"{file}, for this user alone")
