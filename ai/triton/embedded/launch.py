"""From the wheel's parts to a tritonserver that listens on loopback, and nowhere else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ai.triton.asking.wire import ADMIN_HEADER
from ai.triton.embedded.errors import CannotStart, PortTaken, ServerGone
from ai.triton.embedded.ports import LOOPBACK
from ai.triton.embedded.process import EXIT_TIMEOUT_S, TritonProcess
from ai.triton.embedded.server_log import ServerLog
from ai.triton.embedded.wheel import Wheel

RESTRICTED = "model-repository,shared-memory,logging,trace"  # whoever can load a model can run code
_TAKEN = re.compile(r"failed to start (\w+) .*Socket '[^']*:(\d+)' already in use")
_LISTEN_TIMEOUT_S = 60.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Plan:
    wheel: Wheel
    repository: Path
    backends: Path
    ports: Mapping[str, int]
    mark: str
    key: str
    arguments: Sequence[str] = ()

    def url(self, name: str) -> str:
        return f"{LOOPBACK}:{self.ports[name]}"

    @property
    def command(self) -> list[str]:
        """No model is named: the supervisor loads each, so that one that hangs holds up no other."""
        restricted = f"{RESTRICTED}:{ADMIN_HEADER}={self.key}"
        return [
            str(self.wheel.tritonserver),
            f"--model-repository={self.repository}",
            f"--backend-directory={self.backends}",
            f"--backend-config=python,shm-region-prefix-name={self.mark}",
            *(f"--{name}-address={LOOPBACK}" for name in self.ports),
            *(f"--{name}-port={port}" for name, port in self.ports.items()),
            f"--http-restricted-api={restricted}",
            f"--grpc-restricted-protocol={restricted}",
            "--model-control-mode=explicit",
            "--metrics-config=summary_latencies=true",
            f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
            "--log-format=ISO8601",
            *self.arguments,
        ]


def wait_until_it_listens(
    process: TritonProcess, plan: Plan, log: ServerLog, stopping: Callable[[], bool]
) -> None:
    """Until it does itself: its log says so too early, and somebody else may answer on its port."""
    deadline = time.monotonic() + _LISTEN_TIMEOUT_S
    while not process.listens_on >= {*plan.ports.values()}:
        if stopping():
            raise ServerGone("is being stopped")
        if process.ended:
            raise _explained(process, log)
        if time.monotonic() > deadline:
            why = log.why_it_ended()
            raise CannotStart(f"tritonserver did not listen within {_LISTEN_TIMEOUT_S:g} s: {why}")
        time.sleep(_POLL_S)


def _explained(process: TritonProcess, log: ServerLog) -> CannotStart:
    process.drain()
    why = log.why_it_ended()
    if taken := _TAKEN.search(why):
        return PortTaken(f"port {taken[2]} is taken, so Triton's {taken[1]} service cannot listen there")
    return CannotStart(f"tritonserver {process.how_it_ended}: {why}")
