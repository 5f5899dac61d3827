"""A tritonserver as a process: started on a leash, ended with all its models' processes, its traces removed.

Each of its processes carries the server's mark in its command line (the models' by the name of their shared
memory), so that they are found even when they are nobody's children any more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO

from ai.triton.embedded.errors import CannotStart

EXIT_TIMEOUT_S = 5  # Triton's own, for requests in flight
_BEYOND_IT_S = 2.0
_LAST_WORDS_S = 0.5
_LEASH = Path(__file__).with_name("leash.py")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's shared memory, no temporary file of ours
_PARTS = ("tritonserver", "triton_python_backend_stub")
_LISTENS = "0A"  # TCP_LISTEN
_POLL_S = 0.02


class TritonProcess:
    """Starts when made. `pump` is handed all it says, in a thread that lives as long as the server.

    That thread is the one that starts it, because the leash is bound to the thread, not to the process.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], pump: Callable[[IO[bytes]], None]
    ) -> None:
        started: Future[subprocess.Popen[bytes]] = Future()
        self._thread = Thread(target=_run, args=(command, environment, pump, started), daemon=True)
        self._thread.start()
        try:
            self._process = started.result()
        except OSError as error:
            raise CannotStart(f"tritonserver cannot be started: {error}") from error
        self.pid = self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def how_it_ended(self) -> str:
        code = self._process.poll()
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with code {code}"

    @property
    def listens_on(self) -> set[int]:
        try:
            return {*listening(self.pid)}
        except OSError:  # it ended meanwhile
            return set()

    def drain(self) -> None:
        """What a server said before it ended is read; its models' processes may still hold the pipe."""
        self._thread.join(_LAST_WORDS_S)

    def end(self, mark: str) -> None:
        """Asked first, killed after that; when this returns, nothing of it is left."""
        self._signal(signal.SIGTERM)
        self._wait(EXIT_TIMEOUT_S + _BEYOND_IT_S)
        self._signal(signal.SIGKILL)
        self._wait(EXIT_TIMEOUT_S)
        sweep(mark)
        self._thread.join(EXIT_TIMEOUT_S)

    def hide(self, secret: str) -> None:
        """Blank it out in the command line, which every user of the machine can read."""
        with suppress(OSError), Path(f"/proc/{self.pid}/mem").open("r+b", buffering=0) as memory:
            begin, end = _arguments_at(self.pid)
            memory.seek(begin)
            arguments = memory.read(end - begin)
            memory.seek(begin)
            memory.write(arguments.replace(secret.encode(), b"x" * len(secret)))

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended:
            os.kill(self.pid, number)

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.ended and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    pump: Callable[[IO[bytes]], None],
    started: Future[subprocess.Popen[bytes]],
) -> None:
    try:
        process = subprocess.Popen(  # noqa: S603 - the wheel's own program, no shell
            [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *command],
            env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result(process)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as said:
        pump(said)
    process.wait()


def marked(*marks: str) -> list[int]:
    """Triton's processes that have all of these in their command lines."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _is_marked(command_of(pid), marks)]


def kill(*marks: str) -> None:
    """End these processes at once; they are gone when this returns."""
    deadline = time.monotonic() + EXIT_TIMEOUT_S
    while (left := marked(*marks)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def sweep(mark: str) -> None:
    """End what still runs of a server that has ended, and remove its shared memory."""
    kill(mark)
    for file in _SHARED_MEMORY.glob(f"{mark}*"):
        file.unlink(missing_ok=True)


def command_of(pid: int) -> str:
    """Empty for a process that has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def listening(pid: int) -> dict[int, str]:
    """The ports that a process listens on, each with its address as the kernel writes it; see proc(5)."""
    held = _sockets(pid)
    tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [line.split() for line in tables.splitlines()]
    ours = [row[1] for row in rows if row[3] == _LISTENS and f"socket:[{row[9]}]" in held]
    return {int(port, 16): address for address, _, port in (local.partition(":") for local in ours)}


def _sockets(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.add(str(descriptor.readlink()))
    return found


def _is_marked(command: str, marks: Sequence[str]) -> bool:
    return any(part in command for part in _PARTS) and all(mark in command for mark in marks)


def _arguments_at(pid: int) -> tuple[int, int]:
    """Where in its memory a process keeps its command line: fields 48 and 49 of its stat, see proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[45]), int(fields[46])
