"""Runs suites one after the other, each in a process of its own, and says what became of each."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.entry.listing import lacks
from benchmarks.entry.needs import CANNOT_RUN_HERE
from benchmarks.processes import ROOT
from benchmarks.suites import Suite

DONE, FAILED, STOPPED, NOT_HERE, LEFT_OUT = "done", "failed", "stopped", "cannot run here", "left out"
STOP_S = 120.0  # servers of servers end one after the other


@dataclass(frozen=True, slots=True)
class Ended:
    suite: str
    outcome: str
    status: int
    took_s: float
    why: str = ""  # it was not run

    @property
    def sentence(self) -> str:
        took = f" after {self.took_s:.0f} s" if self.took_s else ""
        status = f", status {self.status}" if self.outcome == FAILED else ""
        return f"{self.suite}: {self.outcome}{status}{took}" + (f"; {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How all of them are run."""

    quick: bool = False
    out: str | None = None  # a folder; None: each suite's own
    more: tuple[str, ...] = ()  # words for the suite alone
    on_stderr: bool = False  # what suites print; stdout is for JSON


class StoppedError(Exception):
    """Ctrl-C, SIGTERM, or the terminal was closed."""


def run(suites: Sequence[Suite], wanted: Wanted) -> Iterator[Ended]:
    """Each as it ends; nothing more after one that was stopped."""
    for suite in suites:
        ended = run_one(suite, wanted)
        yield ended
        if ended.outcome == STOPPED:
            return


def run_one(suite: Suite, wanted: Wanted) -> Ended:
    if suite.missing:
        return Ended(suite.name, NOT_HERE, CANNOT_RUN_HERE, 0.0, f"it needs {lacks(suite)}")
    if find_spec(suite.module) is None:
        return Ended(suite.name, NOT_HERE, CANNOT_RUN_HERE, 0.0, f"{suite.module} is not in this checkout")
    if wanted.quick and suite.quick is None:
        return Ended(suite.name, LEFT_OUT, 0, 0.0, "it has no quick form")
    began = time.monotonic()
    status, stopped = _status_of(command_of(suite, wanted), wanted.on_stderr)
    return Ended(suite.name, _outcome(status, stopped), status, round(time.monotonic() - began, 1))


def command_of(suite: Suite, wanted: Wanted) -> list[str]:
    quick = suite.quick if wanted.quick and suite.quick else ()
    out = (f"--out={wanted.out}",) if wanted.out and suite.takes_out else ()
    return [sys.executable, "-m", suite.module, *quick, *out, *wanted.more]


def _outcome(status: int, stopped: bool) -> str:
    if stopped:
        return STOPPED
    return {0: DONE, CANNOT_RUN_HERE: NOT_HERE}.get(status, FAILED)


def _status_of(command: Sequence[str], on_stderr: bool) -> tuple[int, bool]:
    """In a session of its own: Ctrl-C reaches us alone, and we tell the suite to end what it started first."""
    with _stoppable():
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr if on_stderr else None,
            start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(), False
        except StoppedError:
            process.terminate()
            return _ended(process), True


def _ended(process: subprocess.Popen[bytes]) -> int:
    """It ends its servers first; who cannot wait says so once more."""
    try:
        return process.wait(STOP_S)
    except (subprocess.TimeoutExpired, StoppedError):
        process.kill()
        return process.wait()


@contextmanager
def _stoppable() -> Iterator[None]:
    """What would end this process ends the suite in order instead. A signal that is ignored stays so: `nohup`."""

    def stop(*_: object) -> None:
        raise StoppedError

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
