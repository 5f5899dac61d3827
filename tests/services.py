"""Real services for tests: started as a user starts them, on a free port, and ended by their own id."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from backend.stack.plan import SHARING

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 90
SERVED_PORTS = 10_240, 32_768  # below the kernel's ip_local_port_range

_giving, _given = threading.Lock(), set[int]()


@dataclass(frozen=True)
class Service:
    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, timeout: float = 30, **what) -> httpx.Response:
        return httpx.post(self.url + path, timeout=timeout, trust_env=False, **what)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, trust_env=False)

    def metric(self, line: str) -> float:
        """The value of the metrics line that begins with `line`; 0 when there is none yet."""
        for text in self.get("/metrics").text.splitlines():
            if text.startswith(line + " "):
                return float(text.rsplit(" ", 1)[1])
        return 0.0

    def wait_until_idle(self, timeout_s: float = 20) -> None:
        """No request is admitted any more; AssertionError if one never leaves."""
        deadline = time.monotonic() + timeout_s
        while self.get("/health").json()["in_flight"]:
            assert time.monotonic() < deadline, "a request never left the service"
            time.sleep(0.02)

    def log_text(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def forget_peak_memory(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def memory_kib(self, field: str) -> int:
        """VmRSS (now) or VmHWM (the peak since `forget_peak_memory`)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)


@contextmanager
def running(name: str, wait: bool = True, **variables: str) -> Iterator[Service]:
    """`python -m ai.<name>.service` with these variables (`MAX_IN_FLIGHT="2"` → `YOLO26_MAX_IN_FLIGHT=2`)."""
    port = free_port()
    prefix = name.upper()
    settings = {f"{prefix}_{key}": value for key, value in {"PORT": str(port), **variables}.items()}
    with started(name, port, f"ai.{name}.service", wait=wait, **settings) as service:
        yield service


@contextmanager
def started(name: str, port: int, *words: str, wait: bool = True, **variables: str) -> Iterator[Service]:
    """`python -m …`, which serves at this port."""
    with tempfile.TemporaryFile() as log:  # a pipe that nobody empties would stop a service that logs much
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env={**SHARING, **os.environ, **variables},
            stdout=log,
            stderr=log,
        )
        service = Service(name, port, process, log)
        try:
            if wait:
                wait_until_ready(service)
            yield service
        finally:
            stop(process)


def wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if service.process.poll() is not None:
            raise AssertionError(f"{service.name} ended: {service.log_text()[-2000:]}")
        try:
            if service.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{service.name} was not ready within {START_TIMEOUT_S} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Of those that connections do not begin at: one of them took it before its server did, some time in a hundred.

    Nor is it given twice in this process, which starts servers from several threads.
    """
    while True:
        port = random.randrange(*SERVED_PORTS)
        with _giving, socket.socket() as probe:
            if port in _given:
                continue
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
