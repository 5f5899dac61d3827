"""A server that a test starts on a free port, waits for, and ends by its own id; its log is a file beside its data."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx

from tests.services import free_port, stop

PATIENCE_S = 30.0


class StartedServer(ABC):
    """Ready once it says so at /-/ready, as all of Prometheus' family do."""

    def __init__(self, folder: Path, program: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = int(free_port())
        self._folder = folder
        self._program = program
        self._log = folder / f"{program}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)  # a new one takes 25 ms

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @abstractmethod
    def words(self) -> Sequence[str]:
        """Of its command, after its name."""

    def start(self) -> None:
        with self._log.open("wb") as log:
            words = [self._program, *self.words()]
            self._process = subprocess.Popen(words, cwd=self._folder, stdout=log, stderr=log)
        ends_at = time.monotonic() + PATIENCE_S
        while not self._is_ready():
            assert self._process.poll() is None, self.log_text()
            assert time.monotonic() < ends_at, f"{self._program} is not ready: {self.log_text()}"
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    @contextmanager
    def running(self) -> Iterator[Self]:
        try:
            self.start()
            yield self
        finally:
            self.stop()
            self._client.close()

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return self._client.get("/-/ready").status_code == 200
        return False
