"""A part as a process: started in a session of its own, with a log of its own, and ended with all its children."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from backend.stack.parts import Part
from backend.stack.plan import command_of
from backend.stack.rotation import begin_anew, kept
from backend.stack.running import Running, born, reap
from backend.stack.signals import held

__all__ = ["Running", "Tell", "end", "last_lines", "last_words", "reap", "spawn", "tail"]

Tell = Callable[[str], None]
_POLL_S = 0.05
_TAIL_BYTES = 1024 * 1024


def spawn(part: Part, environment: Mapping[str, str]) -> Running:
    part.log.parent.mkdir(parents=True, exist_ok=True)
    begin_anew(part.log, part.log_bounds.files - 1 if part.log_bounds else 1)
    with part.log.open("ab") as output:  # appending: whoever cuts the file short gets no hole
        process = subprocess.Popen(  # noqa: S603 - our own module, no text from outside
            command_of(part.module, *part.words), env={**environment, **part.variables},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    return Running(
        part.name, part.url, process.pid, born(process.pid), str(part.log), part.patience_s, part.stage, os.getpid()
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


def tail(log: str | Path, lines: int = 10) -> str:
    """The last lines of one file."""
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, Path(log).stat().st_size - _TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


def last_words(one: Running, lines: int = 10) -> str:
    """Of this run, also where its log was cut short just before; nothing of an earlier run."""
    log = Path(one.log)
    return last_lines(log, lines) if _written_since(kept(log, 1), one.began_at) else tail(log, lines)


def last_lines(log: Path, lines: int) -> str:
    """On into the older file where this one holds fewer."""
    last = tail(log, lines)
    missing = lines - len(last.splitlines())
    if missing <= 0 or not kept(log, 1).exists():
        return last
    return "\n".join(filter(None, (tail(kept(log, 1), missing), last)))


def _written_since(log: Path, when: float) -> bool:
    try:
        return log.stat().st_mtime >= when
    except OSError:
        return False
