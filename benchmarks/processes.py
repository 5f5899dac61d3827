"""Start a server on a free loopback port, wait until it is healthy, and end it, whatever happens."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn

import httpx

ROOT = Path(__file__).resolve().parents[1]
START_S = 180.0  # a service that fetches weights by name, on a slow line
STOP_S = 15.0  # between SIGTERM and SIGKILL
LOG_TAIL_CHARS = 2000


class NotStartedError(Exception):
    """The server ended, or was not healthy in time; the message ends with its log."""


def health_page(url: str) -> dict[str, Any]:
    """What the server's own /health says; nothing while it does not answer."""
    try:
        answer: dict[str, Any] = httpx.get(f"{url}/health", timeout=5.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return answer


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    command: Callable[[int], list[str]]  # for a port
    health: Callable[[str], dict[str, Any]] = health_page  # of the server at a URL; `status` says how it is


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    url: str
    health: dict[str, Any]  # what it said of itself when it became ready


def legacy_service(name: str, *more_variables: str) -> Program:
    prefix = name.upper()

    def command(port: int) -> list[str]:
        variables = [f"{prefix}_HOST=127.0.0.1", f"{prefix}_PORT={port}", *more_variables]
        return [
            "env",
            *variables,
            sys.executable,
            "-m",
            f"ai.{name}.service",
        ]  # env becomes the service: one id

    return Program(name, command)


def do_nothing() -> Program:
    return Program("nothing", lambda port: [sys.executable, "-m", "benchmarks.nothing", str(port)])


@contextmanager
def running(program: Program, start_s: float = START_S) -> Iterator[Server]:
    """The healthy server; it has ended when the block is left, by an exception too."""
    port = _free_port()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        # A session of its own: Ctrl-C reaches this process only, which then ends its child in order.
        process = subprocess.Popen(
            program.command(port),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            yield Server(process.pid, url, _wait_until_healthy(program, process, url, log, start_s))
        finally:
            _end(process)


def _wait_until_healthy(
    program: Program, process: subprocess.Popen[bytes], url: str, log: IO[str], start_s: float
) -> dict[str, Any]:
    gives_up_at = time.monotonic() + start_s
    while time.monotonic() < gives_up_at:
        health = program.health(url)
        if process.poll() is not None:
            raise NotStartedError(f"{program.name} ended with {process.returncode}:\n{_tail(log)}")
        if health.get("status") == "healthy":
            return health
        if health.get("status") == "failed":
            raise NotStartedError(f"{program.name} cannot load: {health.get('error')}")
        time.sleep(0.1)
    raise NotStartedError(f"{program.name} was not healthy within {start_s:.0f} s:\n{_tail(log)}")


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """It has ended when the block is left, by an exception too."""
    try:
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    finally:
        process.kill()  # does nothing to a process that has ended and been waited for
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-LOG_TAIL_CHARS:].strip()


def end_well_on_signals() -> None:
    """SIGTERM and SIGHUP leave every `with` block in order, as Ctrl-C does."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
