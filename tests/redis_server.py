"""A real redis-server on a free port of this machine, started and ended by the test that needs it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.services import free_port

PATIENCE_S = 20.0

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None,
    reason="there is no redis-server here (Debian: apt-get install redis-server)",
)


class RedisServer:
    """Keeps nothing on disk, unless told to by `options`; a restart finds it empty then."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options or ("--save", "", "--appendonly", "no")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self, **more: str) -> redis.Redis:
        return redis.Redis(port=self.port, **more)  # type: ignore[arg-type]

    def start(self) -> None:
        words = "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)
        log = self.folder / "redis.log"
        self._process = subprocess.Popen([*words, "--logfile", str(log), *self._options])
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket() as way:
            return way.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """As when the network to it is cut: nothing is refused, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.go_on()
            self.kill()


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
