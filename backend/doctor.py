"""`crossfade doctor`: what on this machine keeps the stack from running well, and the command that mends it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ai.core.errors import BadSetting, CrossfadeError
from ai.triton.embedded import record, wheel
from ai.triton.embedded.settings import EmbeddedSettings
from ai.triton.embedded.settings import read_settings as read_embedded
from backend.rollout.stores.opening import REDIS, open_store, store_name
from backend.settings import DETECTORS, ENV_FILE, Settings, read_settings
from backend.stack import health
from backend.stack.foreign_triton import examined
from backend.stack.journal import Journal
from backend.stack.plan import TRITON, command_of, parts_of, why_no_triton
from backend.stack.ports import holder_of, why_not_free, words_of

Level = Literal["OK", "warning", "FAIL"]
OLDEST, NEWEST = (3, 11), (3, 13)
_MIB = 1024 * 1024
_LOW_DISK_BYTES, _NO_DISK_BYTES = 2048 * _MIB, 200 * _MIB
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's shared memory, no temporary file of ours
_LOW_SHARED_BYTES = 64 * _MIB  # what a container gets by default
_LOOK_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    level: Level
    words: str
    mend: str | None = None

    @property
    def line(self) -> str:
        return f"{self.level:8}{self.about:12} {self.words}" + (
            f"\n{'':21}→ {self.mend}" if self.mend else ""
        )


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    settings: Settings
    embedded: EmbeddedSettings

    @property
    def runs_triton(self) -> bool:
        return TRITON in {part.name for part in parts_of(self.settings, self.embedded)}


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 if something fails."""
    args = parser().parse_args(arguments)
    found = []
    for finding in foreign_triton(args) if args.triton else examine():
        found.append(finding)
        if not args.json:
            print(finding.line, flush=True)
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    return 1 if any(finding.level == "FAIL" for finding in found) else 0


def parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="crossfade doctor", description=__doc__)
    words.add_argument("--json", action="store_true", help="a list of tables")
    words.add_argument(
        "--triton", metavar="HOST:PORT", help="only whether the Triton there serves our client, call by call"
    )
    words.add_argument(
        "--protocol", choices=("grpc", "http"), default="grpc", help="asked of --triton (grpc)"
    )
    words.add_argument(
        "--model", action="append", metavar="NAME", help="asked of --triton (those of both detectors)"
    )
    return words


def examine() -> Iterator[Finding]:
    """Without settings that can be read, nothing else can be looked at."""
    yield python()
    try:
        patient = Patient(read_settings(), read_embedded())
        parts_of(patient.settings, patient.embedded)
    except (BadSetting, CrossfadeError) as error:
        yield Finding(
            "settings", "FAIL", str(error), f"set it right in the environment or in {ENV_FILE.absolute()}"
        )
        return
    yield Finding(
        "settings", "OK", f"{ENV_FILE} is read" if ENV_FILE.exists() else "no .env: environment and defaults"
    )
    for check in CHECKS:
        yield from check(patient)


def foreign_triton(args: argparse.Namespace) -> Iterator[Finding]:
    models = args.model or [f"{detector}_jpeg" for detector in DETECTORS]
    for seen in examined(args.triton, args.protocol, models):
        mend = None if seen.well else "docs/operations.md says what our client needs of a Triton"
        yield Finding(seen.about, "OK" if seen.well else "FAIL", seen.words, mend)


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
    asked = subprocess.run(  # noqa: S603 - our own module
        command_of("ai.triton.building.condition"),
        capture_output=True, text=True, check=False, timeout=_LOOK_TIMEOUT_S,
    )  # fmt: skip
    if asked.returncode:
        last = (asked.stderr.strip().splitlines() or ["it said nothing"])[-1]
        yield Finding("weights", "FAIL", f"cannot be looked at: {last}", "make setup")
        return
    for one in json.loads(asked.stdout):
        yield from _model(one, patient.runs_triton)


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


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    ports, embedded_triton, models, gpu, disk, shared_memory, store,
)  # fmt: skip
