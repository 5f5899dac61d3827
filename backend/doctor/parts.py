"""What our parts stand on: the embedded Triton's wheel, the detectors' weights, and the store."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ai.core.errors import CrossfadeError
from ai.triton.embedded import wheel
from backend.doctor.finding import Finding, Patient
from backend.rollout.stores.opening import REDIS, open_store, store_name
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


def store(patient: Patient) -> Iterator[Finding]:
    url = patient.settings.store_url
    if url.startswith(REDIS):
        yield from _redis(url)
        return
    file = Path(url.removeprefix("sqlite:///"))
    if url == "memory:" or not file.exists():
        words = (
            "in memory: one worker, forgotten at its end"
            if url == "memory:"
            else f"{file} is made at the first start"
        )
        yield Finding("store", "OK", words)
        return
    opened = open_store(url)
    try:
        change = opened.read().change
        yield Finding(
            "store", "OK", f"{file}, " + (f"flags at version {change.version}" if change else "no flags yet")
        )
    except CrossfadeError as error:
        yield Finding(
            "store",
            "FAIL",
            str(error),
            f"ls -l {file} shows who may read it; crossfade down, mv {file} {file}.broken and crossfade up "
            "fill a new one from the history beside it",
        )
    finally:
        opened.close()


def _redis(url: str) -> Iterator[Finding]:
    try:
        opened = open_store(url)
        change = opened.read().change
        opened.close()
        about = f"flags at version {change.version}" if change else "no flags yet"
        yield Finding("store", "OK", f"{store_name(url)}, {about}")
    except CrossfadeError as error:
        host, _, port = (urlsplit(url).netloc.rpartition("@")[2] or "localhost").partition(":")
        yield Finding("store", "FAIL", str(error),
                      f"redis-cli -h {host} -p {port or 6379} ping says whether it runs")  # fmt: skip


def key(patient: Patient) -> Iterator[Finding]:
    """The admin's, which the backend made for this user alone."""
    file = key_file(patient.settings)
    try:
        about = file.stat()
    except OSError:
        return  # made at the first start, or a key is configured
    if about.st_mode & _OTHERS:
        words = (
            f"{file} can be read or written by others ({stat.filemode(about.st_mode)}): it is the admin's key"
        )
        yield Finding("admin key", "FAIL", words, f"chmod 600 {shlex.quote(str(file))}")
    elif not os.access(file, os.R_OK):
        words = f"{file} cannot be read by this user, so no command may change anything"
        yield Finding("admin key", "FAIL", words, f"sudo chown {os.getuid()} {shlex.quote(str(file))}")
    else:
        yield Finding("admin key", "OK", f"{file}, for this user alone")
