"""`crossfade doctor`: what on this machine keeps the stack from running well, and the command that mends it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from ai.core.errors import BadSetting, CrossfadeError
from ai.terminal.interrupting import ended_at_once
from ai.terminal.words import Words
from ai.triton.embedded.settings import read_settings as read_embedded
from backend.doctor.finding import Finding, Patient
from backend.doctor.machine import clock, disk, gpu, host, memory, ports, python, shared_memory
from backend.doctor.packages import packages, torch_build
from backend.doctor.parts import embedded_triton, key, models
from backend.doctor.store import store
from backend.doctor.variables import variables
from backend.settings import DETECTORS, ENV_FILE, read_settings
from backend.stack.plan import parts_of

ABOUT = "what keeps this machine from running it, and how to mend it"
EXAMPLES = """  crossfade doctor
  crossfade doctor --json | jq -r '.[] | select(.level == "FAIL").mend'
  crossfade doctor --triton 10.0.0.9:8001 --model yolo26_jpeg      would a Triton of yours serve our client?
Exit status 0: nothing fails, whatever it warns of; 1: something does."""


def findings(args: argparse.Namespace) -> Iterator[Finding]:
    return foreign_triton(args) if args.triton is not None else examine()


def parser() -> argparse.ArgumentParser:
    words = Words(prog="crossfade doctor", description=__doc__)
    add_to(words)
    return words


def add_to(words: argparse.ArgumentParser) -> None:
    words.add_argument("--json", action="store_true", help="a list of tables: about, level, words, mend")
    words.add_argument(
        "--triton", metavar="HOST:PORT", help="only whether the Triton there serves our client, call by call"
    )
    words.add_argument(
        "--protocol", choices=("grpc", "http"), default="grpc", help="asked of --triton (grpc)"
    )
    words.add_argument(
        "--model", action="append", metavar="NAME", help="asked of --triton (those of both detectors)"
    )


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
    with ended_at_once():
        from backend.stack.foreign_triton import examined  # noqa: PLC0415 - gRPC, for this question alone
    models = args.model or [f"{detector}_jpeg" for detector in DETECTORS]
    for seen in examined(args.triton, args.protocol, models):
        mend = None if seen.well else "docs/operations.md says what our client needs of a Triton"
        yield Finding(seen.about, "OK" if seen.well else "FAIL", seen.words, mend)


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    variables, ports, host, packages, embedded_triton, models, torch_build, gpu, disk, memory, shared_memory, clock,
    store, key,
)  # fmt: skip
