"""A real Triton for tests: the tritonserver of the wheel, on free ports of loopback, ended by its own id."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import IO

import httpx

from tests.services import free_port

START_TIMEOUT_S = 60
RESTRICTED = "model-repository,shared-memory,logging,trace"
ADMIN_HEADER = "crossfade-admin"  # over HTTP; over gRPC the same with "triton-grpc-protocol-" before it


@dataclass
class RunningTriton:
    repository: Path
    backends: Path
    log: IO[bytes]
    arguments: Sequence[str] = ()
    admin_key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    ports: dict[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("http", "grpc", "metrics")}
    )
    shm_prefix: str = field(default_factory=lambda: f"crossfade-test-{secrets.token_hex(4)}-")
    process: subprocess.Popen[bytes] | None = None

    @property
    def http_url(self) -> str:
        return f"127.0.0.1:{self.ports['http']}"

    @property
    def grpc_url(self) -> str:
        return f"127.0.0.1:{self.ports['grpc']}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['metrics']}/metrics"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def http_admin(self) -> dict[str, str]:
        """The headers that open the restricted endpoints over HTTP."""
        return {ADMIN_HEADER: self.admin_key}

    @property
    def grpc_admin(self) -> dict[str, str]:
        """The metadata that opens the restricted endpoints over gRPC."""
        return {f"triton-grpc-protocol-{ADMIN_HEADER}": self.admin_key}

    def log_text(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stub_pids(self) -> list[int]:
        """The Python processes that run the models, one for each instance."""
        return [pid for pid in children_of(self.pid) if "triton_python_backend_stub" in command_of(pid)]

    def metrics(self) -> str:
        return httpx.get(self.metrics_url, timeout=10, trust_env=False).text

    def metric(self, name: str, model: str) -> float:
        """The sum of this metric over the model's versions and other labels."""
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in self.metrics().splitlines()
            if line.startswith(name + "{") and f'model="{model}"' in line
        )

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command(), env=_environment(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self._wait_until_ready()

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is short; returns when it and its stubs are gone."""
        assert self.process is not None
        stubs = self.stub_pids()
        self.process.kill()
        self.process.wait()
        _wait_until_gone(stubs)

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        stubs = self.stub_pids()
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()  # does nothing to one that has ended
        self.process.wait()
        _wait_until_gone(stubs)

    def restart(self) -> None:
        """Ends it when it still runs, and starts it on the same ports with the same key."""
        self.stop()
        self.start()

    def sweep(self) -> None:
        for left in Path("/dev/shm").glob(self.shm_prefix + "*"):
            left.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        restricted = f"{RESTRICTED}:{ADMIN_HEADER}={self.admin_key}"
        return [
            str(_tritonserver() / "bin" / "tritonserver"),
            f"--model-repository={self.repository}",
            f"--backend-directory={self.backends}",
            f"--backend-config=python,shm-region-prefix-name={self.shm_prefix}",
            *(f"--{name}-address=127.0.0.1" for name in self.ports),
            *(f"--{name}-port={port}" for name, port in self.ports.items()),
            f"--http-restricted-api={restricted}",
            f"--grpc-restricted-protocol={restricted}",
            "--model-control-mode=explicit",
            "--load-model=*",
            "--metrics-config=summary_latencies=true",
            "--exit-timeout-secs=5",
            *self.arguments,
        ]

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"tritonserver ended: {self.log_text()[-4000:]}"
            with suppress(httpx.TransportError):
                url = f"http://{self.http_url}/v2/health/ready"
                if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"tritonserver was not ready: {self.log_text()[-4000:]}")


@contextmanager
def running_triton(repository: Path, arguments: Sequence[str] = ()) -> Iterator[RunningTriton]:
    """A Triton with every model of this repository loaded; `arguments` are added to its command line."""
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile() as log:
        triton = RunningTriton(repository, _linked_backends(Path(directory)), log, arguments)
        try:
            triton.start()
            yield triton
        finally:
            triton.stop()
            triton.sweep()


def python_model(repository: Path, name: str, code: str, config: str, version: int = 1) -> Path:
    """Write a model for the Python backend: `config` is its config.pbtxt without name and backend."""
    directory = repository / name
    (directory / str(version)).mkdir(parents=True, exist_ok=True)
    (directory / "config.pbtxt").write_text(f'name: "{name}"\nbackend: "python"\n{dedent(config)}')
    (directory / str(version) / "model.py").write_text(dedent(code))
    return directory


def children_of(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def command_of(pid: int) -> str:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _wait_until_gone(pids: Sequence[int], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while any(command_of(pid) for pid in pids):
        assert time.monotonic() < deadline, f"left behind: {[pid for pid in pids if command_of(pid)]}"
        time.sleep(0.02)


def _tritonserver() -> Path:
    return Path(sysconfig.get_path("platlib")) / "pytriton" / "tritonserver"


def _linked_backends(directory: Path) -> Path:
    """The Python backend with the stub of this Python beside it, by links: the stub finds its libraries so."""
    parts = _tritonserver()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = parts / "python_backend_stubs" / python / "triton_python_backend_stub"
    target = directory / "python"
    target.mkdir()
    for part in (*(parts / "backends" / "python").glob("*.*"), stub):
        (target / part.name).symlink_to(part)
    return directory


def _environment() -> dict[str, str]:
    libraries = Path(sysconfig.get_path("platlib")) / "nvidia_pytriton.libs"
    return {
        **os.environ,
        "LD_LIBRARY_PATH": f"{libraries}:{sysconfig.get_config_var('LIBDIR')}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
    }
