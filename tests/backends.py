"""A real backend for tests: started as `crossfade serve` starts it, in a directory of its own, ended by its own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from backend.settings import Settings
from tests import scripted
from tests.services import Service, free_port
from tests.tritons import RunningTriton, python_model

START_TIMEOUT_S = 60
NOBODY = "127.0.0.1:9"  # the discard port: nobody listens there

BREAKER = 'detector_breaker_state{{backend="{}",detector="yolo26"}}'
CLOSED, HALF_OPEN, OPEN = 0.0, 1.0, 2.0


@dataclass
class Backend:
    folder: Path  # where it runs, and its .env lies
    port: int
    variables: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    before: tuple[str, ...] = ()  # words that start a command which becomes it
    module: tuple[str, ...] = ("backend.serve",)  # what is run, and its words

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def var(self) -> Path:
        return self.folder / "var"

    @property
    def env_file(self) -> Path:
        return self.folder / ".env"

    @property
    def log(self) -> Path:
        return self.folder / "backend.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that serve, where it was started with several."""
        return [child.pid for child in psutil.Process(self.pid).children() if _serves(child)]

    @property
    def admin(self) -> dict[str, str]:
        return {"X-API-Key": (self.var / "admin-key").read_text().strip()}

    def say(self, **words: object) -> None:
        """In its .env, all at once, as an editor saves."""
        draft = self.env_file.with_suffix(".draft")
        draft.write_text("".join(f"{name}={word}\n" for name, word in words.items()))
        draft.replace(self.env_file)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=self.admin, timeout=30, trust_env=False)

    def set(self, **flags: Any) -> int:
        """The version after this change."""
        headers = self.admin | {"If-Match": "*"}
        answer = httpx.put(
            self.url + "/api/rollout", json=flags, headers=headers, timeout=30, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return int(answer.json()["version"])

    def rollback(self) -> httpx.Response:
        url = self.url + "/api/rollout/rollback"
        return httpx.post(url, json={}, headers=self.admin, timeout=30, trust_env=False)

    def metric(self, line: str) -> float:
        """The value of the metrics line that begins with `line`; 0 when there is none yet."""
        return self.metrics().get(line, 0.0)

    def metrics(self) -> dict[str, float]:
        lines = httpx.get(self.url + "/metrics", timeout=30, trust_env=False).text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}

    def attempts(self, side: str) -> int:
        """Calls of this side, probes included, however they ended."""
        return int(sum(
            value for line, value in self.metrics().items()
            if line.startswith("detector_attempts_total{") and f'backend="{side}"' in line and "yolo26" in line
        ))  # fmt: skip

    def breaker(self, side: str) -> float:
        return self.metric(BREAKER.format(side))

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What its log says of this event, with `at` in unix time."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
        return [
            line | {"at": datetime.fromisoformat(line["ts"]).timestamp()}
            for line in lines
            if line["event"] == event
        ]

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def start(self, ready: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-m", *self.module],
                cwd=self.folder, env=self._environment(), stdout=log, stderr=log,
            )  # fmt: skip
        path = "/health/ready" if ready else "/health/live"
        self.until(lambda: self._answers(path), f"{path} never was well")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start(ready=False)

    def until(self, holds: Callable[[], bool], why: str, timeout_s: float = START_TIMEOUT_S) -> None:
        ends_at = time.monotonic() + timeout_s
        while not holds():
            if self.process is None or self.process.poll() is not None or time.monotonic() > ends_at:
                raise AssertionError(f"{why}: {self.log_text()[-3000:]}")
            time.sleep(0.02)

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(self.url + path, timeout=10, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _environment(self) -> dict[str, str]:
        """Ours, without a word that would reach the backend's settings."""
        names = {name.upper() for name in Settings.model_fields}
        ours = {name: value for name, value in os.environ.items() if name.upper() not in names}
        return ours | self.variables | {"CROSSFADE_VAR": str(self.var), "PORT": str(self.port)}


def _serves(child: psutil.Process) -> bool:
    try:
        return "resource_tracker" not in " ".join(child.cmdline())
    except psutil.Error:  # it is dead
        return False


def quick_model(
    repository: Path,
    name: str,
    *,
    input_name: str = "image",
    input_type: str = "UINT8",
    output_type: str = "FP32",
) -> None:
    """A detector that answers a JPEG in a millisecond, or one that differs from it by a name or a type.

    Without priorities: with them Triton 2.51 lets a batch of so quick a model wait half a second now and then.
    """
    config = f"""
        max_batch_size: 8
        input {{ name: "{input_name}" data_type: TYPE_{input_type} dims: [-1] allow_ragged_batch: true }}
        output {{ name: "detections" data_type: TYPE_{output_type} dims: [{scripted.SPEC.max_detections}, 6] }}
        output {{ name: "image_size" data_type: TYPE_INT32 dims: [2] }}
        dynamic_batching {{ }}
        {scripted.carried(scripted.SPEC)}
    """
    numpy_type = {"FP32": "float32", "INT32": "int32"}[output_type]
    code = scripted.CODE.replace('"image")', f'"{input_name}")').replace("np.float32", f"np.{numpy_type}")
    python_model(repository, name, code, config)


@contextmanager
def running_backend(
    *,
    legacy: Service | str = f"http://{NOBODY}",
    triton: RunningTriton | str = NOBODY,
    workers: int = 1,
    env_file: str | None = None,
    ready: bool = True,
    before: tuple[str, ...] = (),
    module: tuple[str, ...] = ("backend.serve",),
    **variables: str,
) -> Iterator[Backend]:
    """Asked for yolo26 where a caller names no detector; every breaker is tried again after half a second."""
    with tempfile.TemporaryDirectory() as directory:
        usual = {
            "TRITON_MODEL": "yolo26",
            "YOLO26_URL": legacy if isinstance(legacy, str) else legacy.url,
            "RTDETR_URL": legacy if isinstance(legacy, str) else legacy.url,
            "TRITON_URL": triton if isinstance(triton, str) else triton.grpc_url,
            "TRITON_HTTP_URL": triton if isinstance(triton, str) else triton.http_url,
            "WORKERS": str(workers),
            "BREAKER_OPEN_S": "0.5",
            "BREAKER_OPEN_MAX_S": "0.5",
        }
        backend = Backend(Path(directory), free_port(), usual | variables, before=before, module=module)
        if env_file is not None:
            backend.env_file.write_text(env_file)
        try:
            backend.start(ready)
            yield backend
        finally:
            backend.stop()
