"""What `crossfade up` started: var/run/stack.json, and the lock of the one who is starting right now."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from backend.stack.errors import StackError
from backend.stack.processes import Running, Tell, end
from backend.stack.running import born, lives

_POLL_S = 0.1
_GIVE_UP_S = 90.0  # the one who starts ends what it has begun, each part with its own patience


class Journal:
    """One for each `var`."""

    def __init__(self, var: Path) -> None:
        self._folder = var / "run"
        self._record = self._folder / "stack.json"
        self._stopping = self._folder / "stopping"  # is there while parts are ended on purpose
        self._lock = self._folder / "lock"
        self._keeper = self._folder / "log-keeper.json"

    def known(self) -> list[Running]:
        """The parts that were started and of which something still runs."""
        return [one for one in self._recorded() if one.alive or one.left_over]

    def remember(self, running: Sequence[Running]) -> None:
        aside = self._record.with_suffix(".part")
        aside.write_text(json.dumps([asdict(one) for one in running], indent=2))
        aside.replace(self._record)

    def remember_keeper(self, pid: int) -> None:
        """Of the parts' logs; 0 where it could not be started."""
        self._keeper.write_text(json.dumps([pid, born(pid)]))

    @property
    def keeper_is_gone(self) -> bool:
        """Parts run, and whoever was to keep their logs small does not."""
        try:
            pid, birth = json.loads(self._keeper.read_text())
        except (OSError, ValueError, TypeError):
            return False  # no part's log has a bound
        return bool(self.known()) and not lives(pid, birth)

    @property
    def is_ending(self) -> bool:
        return self._stopping.exists() or not self._record.exists()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Two starts at once would each end what the other began."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StackError("another `crossfade up` is starting the parts right now") from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            self._stopping.unlink(missing_ok=True)
            yield
            lock.truncate(0)

    def end(self, running: Sequence[Running], tell: Tell) -> None:
        if running:
            self._stopping.touch()
        end(running, tell)
        if not self.known():
            self._record.unlink(missing_ok=True)
            self._keeper.unlink(missing_ok=True)
            self._stopping.unlink(missing_ok=True)

    def call_off_a_start(self, tell: Tell) -> None:
        """Whoever is starting parts right now is asked to end, and ends what it began."""
        deadline = time.monotonic() + _GIVE_UP_S
        told = False
        while (starter := self._starter()) is not None and time.monotonic() < deadline:
            if not told:
                tell(f"a start was under way (process {starter}); it is called off")
                with suppress(ProcessLookupError):
                    os.kill(starter, signal.SIGTERM)
                told = True
            time.sleep(_POLL_S)

    def _starter(self) -> int | None:
        try:
            with self._lock.open("r") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(lock.read())
        except (OSError, ValueError):
            pass
        return None

    def _recorded(self) -> list[Running]:
        try:
            return [Running(**entry) for entry in json.loads(self._record.read_text())]
        except (OSError, ValueError, TypeError):
            return []
