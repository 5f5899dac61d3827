"""A part as a process: started in a session of its own, known again by its birth, ended with all its children."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backend.stack.parts import Part
from backend.stack.plan import command_of
from backend.stack.signals import held

Tell = Callable[[str], None]
_POLL_S = 0.05
_TAIL_BYTES = 1024 * 1024
_DEATH_S = 5.0  # between SIGKILL and the end of a process that waits for a device
_SESSION, _STATE, _BORN = 3, 0, 19  # fields of /proc/PID/stat behind the name, see proc(5)


@dataclass(frozen=True, slots=True)
class Running:
    name: str
    url: str
    pid: int
    born: str  # in the kernel's ticks: process ids are used again
    log: str
    patience_s: float
    stage: int
    starter: int  # the process of `crossfade up`

    @property
    def alive(self) -> bool:
        fields = _stat(self.pid)
        return bool(fields) and fields[_BORN] == self.born and fields[_STATE] not in "ZX"

    @property
    def left_over(self) -> list[int]:
        """What it started and left behind when it was killed. Its session's number is nobody else's meanwhile."""
        if _stat(self.pid) and not self._is_zombie:
            return []
        return [pid for pid in self.members if pid != self.pid]

    @property
    def members(self) -> list[int]:
        """It and all that it started."""
        return [pid for pid in _all_pids() if _session_of(pid) == str(self.pid)]

    @property
    def _is_zombie(self) -> bool:
        fields = _stat(self.pid)
        return bool(fields) and fields[_STATE] in "ZX"

    def ask_to_end(self) -> None:
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """With all its children; they are gone when this returns."""
        if not self.alive and not self.left_over:
            return
        deadline = time.monotonic() + _DEATH_S
        while (left := self.members) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_S)
            reap(self.pid)


def spawn(part: Part, environment: Mapping[str, str]) -> Running:
    part.log.parent.mkdir(parents=True, exist_ok=True)
    if part.log.exists():
        part.log.replace(part.log.with_suffix(".log.1"))
    with part.log.open("ab") as output:  # appending: whoever cuts the file short gets no hole
        process = subprocess.Popen(  # noqa: S603 - our own module, no text from outside
            command_of(part.module, *part.words), env={**environment, **part.variables},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    fields = _stat(process.pid)
    born = fields[_BORN] if fields else ""
    return Running(
        part.name, part.url, process.pid, born, str(part.log), part.patience_s, part.stage, os.getpid()
    )  # fmt: skip


def end(running: Sequence[Running], tell: Tell) -> None:
    """The later stages first, the parts of a stage together. A signal that comes meanwhile hurries it."""
    with held() as hurry:
        for stage in sorted({one.stage for one in running}, reverse=True):
            _end_together([one for one in running if one.stage == stage], tell, hurry)


def _end_together(running: list[Running], tell: Tell, hurry: Callable[[], bool]) -> None:
    began = time.monotonic()
    for one in running:
        one.ask_to_end()
    waiting = list(running)
    while waiting:
        for one in list(waiting):
            if _has_ended(one, hurry() or time.monotonic() - began > one.patience_s, tell):
                waiting.remove(one)
        time.sleep(_POLL_S)


def _has_ended(one: Running, now: bool, tell: Tell) -> bool:
    reap(one.pid)
    if one.alive and not now:
        return False
    tell(f"{one.name} did not end when asked and was killed" if one.alive else f"{one.name} ended")
    one.kill()
    return True


def reap(pid: int) -> None:
    """Take leave of a child that has ended."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def tail(log: str | Path, lines: int = 10) -> str:
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, Path(log).stat().st_size - _TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


def _all_pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _session_of(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[_SESSION] if fields and fields[_STATE] not in "ZX" else None


def _stat(pid: int) -> list[str]:
    """Behind the name, which may hold anything; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
