"""Whatever a killed server leaves behind ends too, and nobody else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ai.triton.embedded import process
from ai.triton.embedded.remains import group_of, others_in

PATIENCE_S = 30.0
LEAVES_ONE = "sleep 1000 & echo $!; wait"
ENDS_IN_ORDER = "sleep 0.1 & echo $!; wait"


@contextmanager
def leashed(script: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server on its leash as the supervisor starts it, and a process that the server has started."""
    command = [sys.executable, "-I", "-S", str(process._LEASH), str(os.getpid()), "/bin/sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        assert server.stdout is not None
        try:
            yield server, int(server.stdout.readline())
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def lives(pid: int) -> bool:
    return group_of(Path(f"/proc/{pid}")) != 0


def until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def test_who_stays_behind_when_a_server_is_killed_is_ended_and_nobody_else() -> None:
    with leashed(LEAVES_ONE) as (server, left), leashed(LEAVES_ONE) as (another, anothers):
        assert lives(left)
        server.kill()
        server.wait()
        until(lambda: not others_in(server.pid))
        assert not lives(left)
        assert lives(anothers)
        assert another.poll() is None


def test_after_a_server_that_ended_in_order_nothing_is_waited_for() -> None:
    with leashed(ENDS_IN_ORDER) as (server, _):
        assert server.stdout is not None
        assert server.stdout.read() == ""  # whoever looks after it holds nothing of it open
        assert server.wait() == 0
        until(lambda: not others_in(server.pid))


def test_a_process_that_has_ended_is_in_no_group() -> None:
    with subprocess.Popen(["true"]) as ended:
        until(lambda: not lives(ended.pid))  # a zombie, until it is waited for
        assert ended.wait() == 0
    assert group_of(Path("/proc/self")) == os.getpgrp()
