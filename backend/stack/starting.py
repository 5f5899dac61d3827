"""From parts to a stack that serves: those of a stage side by side, one stage after the other."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Timer

from backend.stack.errors import StackError
from backend.stack.journal import Journal
from backend.stack.log_keeper import keep_logs
from backend.stack.parts import Part
from backend.stack.plan import command_of
from backend.stack.ports import holder_of, why_not_free, words_of
from backend.stack.processes import Running, last_words, reap, spawn, tail
from backend.stack.signals import held

Tell = Callable[[str], None]
_POLL_S = 0.2
_REMIND_S = 10.0
_NAME = 9  # columns


class Start:
    """One start of these parts: all of them serve when `run` returns, none is left when it raises."""

    def __init__(
        self,
        parts: Sequence[Part],
        journal: Journal,
        environment: Mapping[str, str],
        timeout_s: float,
        tell: Tell,
    ) -> None:
        self._parts = parts
        self._journal = journal
        self._environment = environment
        self._timeout_s = timeout_s
        self._tell = tell
        self._running: list[Running] = []

    @property
    def left(self) -> list[Running]:
        """What it started and what still runs of it, however far it came."""
        return [one for one in self._running if one.alive or one.left_over]

    def run(self) -> list[Running]:
        with self._journal.alone():
            if earlier := self._journal.known():
                raise StackError(f"{earlier[0].name} was started before and runs; `crossfade down` ends it")
            for part in self._parts:
                require_free(part)
            try:
                self._bring_up()
                self._keep_logs()
            except BaseException:
                self._journal.end(self._running, tell=lambda _: None)
                raise
        return self._running

    def _keep_logs(self) -> None:
        """A stack that serves is not ended because its logs may grow."""
        try:
            keeper = keep_logs(self._parts, self._running)
        except OSError as error:
            self._say("logs", f"nobody keeps them to LOG_MAX_BYTES, they grow: {error}")
            keeper = 0
        if keeper is not None:
            with suppress(OSError):  # a full disk: `status` cannot say then whether somebody does
                self._journal.remember_keeper(keeper)

    def _bring_up(self) -> None:
        began = time.monotonic()
        for stage in sorted({part.stage for part in self._parts}):
            parts = [part for part in self._parts if part.stage == stage]
            for part in sorted(
                parts, key=lambda part: bool(part.prepare)
            ):  # others load while one is prepared
                if part.prepare:
                    self._prepare(part, began)
                self._spawn(part)
            self._wait(parts, began)

    def _prepare(self, part: Part, began: float) -> None:
        """Its lines are told; all it says besides is in a log."""
        log = part.log.with_name(f"{part.name}-prepare.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own module, no text from outside
                command_of(*part.prepare), env={**self._environment, **part.variables},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True,
            )  # fmt: skip
            with _bounded(process, began + self._timeout_s - time.monotonic()):
                for line in process.stdout or ():
                    self._say(part.name, line.rstrip())
                process.wait()
        command = f"`{' '.join(('crossfade models', *part.prepare[1:]))}`"
        if process.returncode == -signal.SIGTERM:
            raise StackError(f"{command} was not done within {self._timeout_s:g} s; its log is {log}")
        if process.returncode:
            raise StackError(f"{command} failed: {tail(log, lines=3)}")

    def _spawn(self, part: Part) -> None:
        with held() as interrupted:  # nothing is started that is not on record
            one = spawn(part, self._environment)
            self._running.append(one)
            self._journal.remember(self._running)
        if interrupted():
            raise KeyboardInterrupt
        self._say(part.name, f"starts (process {one.pid}, log {part.log})")

    def _wait(self, parts: Sequence[Part], began: float) -> None:
        waiting, remind_at = list(parts), time.monotonic() + _REMIND_S
        while waiting:
            self._require_alive()
            waiting = [part for part in waiting if not self._is_up(part, began)]
            if waiting and time.monotonic() - began > self._timeout_s:
                raise StackError(_missing(waiting, self._timeout_s))
            if waiting and time.monotonic() > remind_at:
                remind_at = time.monotonic() + _REMIND_S
                self._remind(waiting, began)
            time.sleep(_POLL_S)

    def _is_up(self, part: Part, began: float) -> bool:
        health = part.look()
        if health.hopeless:
            raise StackError(f"{part.name} {health.words}")
        if health.well:
            self._require_alive()  # a stranger that answers in its place does not count
            self._say(part.name, f"{health.words}, {part.url} after {time.monotonic() - began:.1f} s")
        return health.well

    def _require_alive(self) -> None:
        for one in self._running:
            reap(one.pid)
            if not one.alive:
                raise StackError(f"{one.name} could not start: {last_words(one, lines=3)}")

    def _remind(self, waiting: Sequence[Part], began: float) -> None:
        for part in waiting:
            self._say(part.name, f"not there yet after {time.monotonic() - began:.0f} s: {part.look().words}")

    def _say(self, name: str, words: str) -> None:
        self._tell(f"{name:{_NAME}} {words}")


@contextmanager
def _bounded(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """It ends with the block, or after so many seconds."""
    timer = Timer(max(0.0, seconds), process.terminate)
    timer.start()
    try:
        yield
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        timer.cancel()


def require_free(part: Part) -> None:
    for variable, port in part.ports.items():
        if (why := why_not_free(port)) is None:
            continue
        by = f" by {words_of(holder_of(port))}" if why == "taken" else ""
        raise StackError(
            f"port {port} is {why}{by}, so {part.name} cannot start; "
            f"`crossfade down` ends an earlier start, {variable} names another port"
        )


def watch(journal: Journal, running: Sequence[Running]) -> None:
    """Return when `crossfade down` ends them elsewhere; StackError when one ends by itself."""
    while True:
        for one in running:
            reap(one.pid)
            if not one.alive:
                if journal.is_ending:
                    return
                raise StackError(f"{one.name} ended by itself; its log is {one.log}:\n{last_words(one)}")
        time.sleep(_POLL_S)


def _missing(waiting: Sequence[Part], timeout_s: float) -> str:
    each = "; ".join(f"{part.name}: {part.look().words}, its log is {part.log}" for part in waiting)
    return f"not everything was ready within {timeout_s:g} s. {each}"
