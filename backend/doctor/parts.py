"""What our parts stand on: the embedded Triton's wheel, the detectors' weights, and the store."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ai.core.errors import CrossfadeError
from ai.triton.embedded import wheel
from backend.doctor.finding import Finding, Patient
from backend.rollout.stores.opening import REDIS, open_store, store_name
from backend.stack.plan import TRITON, command_of, why_no_triton

_LOOK_TIMEOUT_S = 60.0


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
            TRITON, "FAIL", str(error), "the words above; or TRITON_ENABLED=false in .env to do without"
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
            f"set {name.upper()}_WEIGHTS to demo, a file, or a name that ultralytics knows",
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
            f"see who may read {file}; the history beside it fills an emptied one",
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
        yield Finding("store", "FAIL", str(error), "see whether that Redis runs, and what ROLLOUT_STORE says")
