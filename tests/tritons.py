"""A real Triton for tests: started by the supervisor's own parts, and left alone, so that a dead one stays dead."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import httpx

from ai.triton.embedded import wheel
from ai.triton.embedded.launch import Plan, wait_until_it_listens
from ai.triton.embedded.ports import settle
from ai.triton.embedded.process import TritonProcess, marked
from ai.triton.embedded.record import RunningTriton as Record
from ai.triton.embedded.record import grpc_admin, http_admin
from ai.triton.embedded.server_log import ServerLog
from tests.services import free_port

START_TIMEOUT_S = 60
FAULTS = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")


@dataclass
class RunningTriton:
    plan: Plan
    log: ServerLog
    process: TritonProcess | None = None

    @property
    def repository(self) -> Path:
        return self.plan.repository

    @property
    def http_url(self) -> str:
        return self.plan.url("http")

    @property
    def grpc_url(self) -> str:
        return self.plan.url("grpc")

    @property
    def metrics_url(self) -> str:
        return f"http://{self.plan.url('metrics')}/metrics"

    @property
    def admin_key(self) -> str:
        return self.plan.key

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def record(self) -> Record:
        """What a supervisor would have written of it."""
        return Record(
            pid=self.pid, supervisor=os.getpid(), http_url=self.http_url, grpc_url=self.grpc_url,
            metrics_url=self.metrics_url, admin_key=self.admin_key, repository=str(self.repository),
            mark=self.plan.mark,
        )  # fmt: skip

    @property
    def http_admin(self) -> dict[str, str]:
        """The headers that open the restricted endpoints over HTTP."""
        return http_admin(self.admin_key)

    @property
    def grpc_admin(self) -> dict[str, str]:
        """The metadata that opens the restricted endpoints over gRPC."""
        return grpc_admin(self.admin_key)

    def log_text(self) -> str:
        return self.log.path.read_text(errors="replace")

    def stub_pids(self) -> list[int]:
        """The Python processes that run the models, one for each instance."""
        return marked(self.plan.mark, "triton_python_backend_stub")

    def metrics(self) -> str:
        return httpx.get(self.metrics_url, timeout=10, trust_env=False).text

    def metric(self, name: str, model: str) -> float:
        """The sum of this metric over the model's versions and other labels."""
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in self.metrics().splitlines()
            if line.startswith(name + "{") and f'model="{model}"' in line
        )

    def asked_of(self, model: str) -> float:
        """Requests of this model that it answered, either way. It counts an answer after it has sent it: what it says
        twice is true."""
        names = ("nv_inference_request_success", "nv_inference_request_failure")
        before, now = -1.0, 0.0
        while before != now:
            before, now = now, sum(self.metric(name, model) for name in names)
            time.sleep(0.2)
        return now

    def start(self) -> None:
        self.log.forget()
        environment = self.plan.wheel.environment(os.environ)
        self.process = TritonProcess(self.plan.command, environment, self.log.pump)
        wait_until_it_listens(self.process, self.plan, self.log, stopping=lambda: False)
        self._wait_until_ready()

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is short; returns when it and its stubs are gone."""
        if self.process is not None and not self.process.ended:
            os.kill(self.pid, signal.SIGKILL)
        self.stop()

    @property
    def crash(self) -> str:
        """What it said last if it ended by a fault of its own; a test that ends it sends other signals."""
        if self.process is None or not self.process.ended or not self.process.how_it_ended.endswith(FAULTS):
            return ""
        return f"tritonserver {self.process.how_it_ended}; its last words: {self.log_text()[-4000:]}"

    def stop(self) -> None:
        if self.process is not None:
            self.process.end(self.plan.mark)

    def restart(self) -> None:
        """Ends it when it still runs, and starts it on the same ports with the same key."""
        self.stop()
        self.start()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                url = f"http://{self.http_url}/v2/health/ready"
                if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"tritonserver was not ready: {self.log_text()[-4000:]}")


@contextmanager
def running_triton(repository: Path, arguments: Sequence[str] = ()) -> Iterator[RunningTriton]:
    """A Triton with every model of this repository loaded; `arguments` are added to its command line."""
    with tempfile.TemporaryDirectory() as directory:
        plan = plan_in(Path(directory), repository, ["--load-model=*", *arguments])
        log = ServerLog(Path(directory) / "triton.log", max_bytes=10_000_000, files=2)
        triton = RunningTriton(plan, log)
        try:
            triton.start()
            yield triton
            crash = triton.crash
        finally:
            triton.stop()
            log.close()
        assert not crash, crash


def plan_in(directory: Path, repository: Path, arguments: Sequence[str] = ()) -> Plan:
    """How to start a server on free ports, with its backends linked in this directory."""
    parts = wheel.find(wheel.Machine.here())
    parts.link_backends(directory / "backends")
    return Plan(
        wheel=parts,
        repository=repository,
        backends=directory / "backends",
        ports=settle({name: free_port() for name in ("http", "grpc", "metrics")}),
        mark=f"crossfade-test-{secrets.token_hex(4)}-",
        key=secrets.token_urlsafe(16),
        arguments=arguments,
    )


def python_model(repository: Path, name: str, code: str, config: str, version: int = 1) -> Path:
    """Write a model for the Python backend: `config` is its config.pbtxt without name and backend."""
    directory = repository / name
    (directory / str(version)).mkdir(parents=True, exist_ok=True)
    (directory / "config.pbtxt").write_text(f'name: "{name}"\nbackend: "python"\n{dedent(config)}')
    (directory / str(version) / "model.py").write_text(dedent(code))
    return directory
