"""A small real stack that a real Prometheus scrapes, and what can befall it: every fault breaks one thing and mends it.

with monitored(folder, rules, TRITON_ENABLED="true") as stack, stack.traffic():
    stack.watch.befalls("Triton is killed", ["TritonDown"], stack.triton_killed())
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests import pictures, scripted
from tests.alert_watch import Watch
from tests.alertmanager_server import AlertmanagerServer
from tests.backends import Backend, running_backend
from tests.callers import Caller
from tests.legacy_process import legacy_process
from tests.prometheus_server import PrometheusServer, configuration
from tests.services import Service, free_port
from tests.threads import running
from tests.tritons import RunningTriton, python_model, running_triton

INTERVAL_S = 1.0  # between two scrapes, and between two evaluations
YOLO26, RTDETR = "yolo26_jpeg", "rtdetr_jpeg"  # the models
TINY_QUEUE = 1

# Two pictures in turn, or a camera would show a still scene, which proves nothing. Legacy finds the same share of each
# (`tests.http_servers.ScriptedEngine`), and Triton the same as legacy unless it is told to lie.
PICTURES = pictures.jpeg(pictures.scene(48, 32)), pictures.jpeg(pictures.scene(36, 24))
BROKEN = (
    PICTURES[0][: PICTURES[0].index(b"\xff\xda")] + b"\xff\xd9"
)  # a header, and nothing after it: both refuse it
TRUTH, LIE = [8, 8, 24, 56], [36, 8, 52, 56]  # of 64
CODE = f"""
    import json, random, struct, time
    from pathlib import Path
    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def initialize(self, args):
            repository = Path(args["model_repository"]).parent
            self.file = repository.with_name("fault.json")

        def execute(self, requests):
            fault = json.loads(self.file.read_text()) if self.file.exists() else {{}}
            time.sleep(fault.get("adds_s", 0))
            box = np.array({LIE} if fault.get("lies") else {TRUTH}, np.float32) / 64
            self.fails = fault.get("fails", False)
            return [self.answer(request, box) for request in requests]

        def answer(self, request, box):
            if self.fails and random.random() < 0.2:
                return pb.InferenceResponse(error=pb.TritonError("planned"))
            data = pb.get_input_tensor_by_name(request, "image").as_numpy().tobytes()
            if b"\\xff\\xda" not in data:
                refusal = pb.TritonError("The picture is broken.", pb.TritonError.INVALID_ARG)
                return pb.InferenceResponse(error=refusal)
            frame = data.index(b"\\xff\\xc0")
            height, width = struct.unpack(">HH", data[frame + 5 : frame + 9])
            rows = np.full((1, {scripted.SPEC.max_detections}, 6), -1, np.float32)
            rows[0, 0] = [*box * [width, height, width, height], 0.75, 1]
            size = np.array([[width, height]], np.int32)
            return pb.InferenceResponse([pb.Tensor("detections", rows), pb.Tensor("image_size", size)])
"""


def write_models(repository: Path) -> None:
    """Both detectors; that of RT-DETR has a queue for one."""
    _model(repository, YOLO26, max_batch=8, queue=0)
    _model(repository, RTDETR, max_batch=1, queue=TINY_QUEUE)


def _model(repository: Path, name: str, max_batch: int, queue: int) -> None:
    config = f"""
        max_batch_size: {max_batch}
        input {{ name: "image" data_type: TYPE_UINT8 dims: [-1] allow_ragged_batch: true }}
        output {{ name: "detections" data_type: TYPE_FP32 dims: [{scripted.SPEC.max_detections}, 6] }}
        output {{ name: "image_size" data_type: TYPE_INT32 dims: [2] }}
        dynamic_batching {{ default_queue_policy {{ max_queue_size: {queue} }} }}
        {scripted.carried(scripted.SPEC)}
    """
    python_model(repository, name, CODE, config)


@dataclass
class Legacy:
    """A legacy service that can be killed and comes back on its port."""

    port: int = field(default_factory=free_port)
    inference_s: float = 0.002
    service: Service | None = None
    _life: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.service = self._life.enter_context(legacy_process(self.inference_s, self.port))

    def kill(self) -> None:
        assert self.service is not None
        self.service.process.kill()
        self.service.process.wait()
        self._life.close()

    def stop(self) -> None:
        self._life.close()


@dataclass
class MonitoredStack:
    backend: Backend
    triton: RunningTriton
    legacy: Legacy
    folder: Path
    watch: Watch

    # --- what callers do --------------------------------------------------------------------------------------

    @contextmanager
    def traffic(
        self,
        callers: int = 2,
        pause_s: float = 0.1,
        query: str = "",
        images: Sequence[bytes] = PICTURES,
    ) -> Iterator[list[int]]:
        """Callers that ask again and again from a thread; the statuses they got."""
        statuses: list[int] = []
        over = threading.Event()

        async def call(number: int) -> None:
            path = f"/api/detect?camera=cam-{number}{query}"
            callers = itertools.cycle([Caller(self.backend.url, path, image) for image in images])
            while not over.is_set():
                caller = next(callers)
                statuses.append((await caller.ask(20)).status)
                caller.hang_up()  # the next one may be another worker's
                await asyncio.sleep(pause_s)

        async def all_call() -> None:
            await asyncio.gather(*(call(number) for number in range(callers)))

        with running(lambda: asyncio.run(all_call()), over.set, 40):
            yield statuses

    # --- what befalls it --------------------------------------------------------------------------------------

    @contextmanager
    def triton_killed(self) -> Iterator[None]:
        self.triton.kill()
        try:
            yield
        finally:
            self.triton.restart()

    @contextmanager
    def stub_dead(self, model: str = YOLO26) -> Iterator[None]:
        """Triton lives and calls the model ready; to unload and load it helps."""
        for pid in self.triton.stub_pids():
            if model in " ".join(psutil.Process(pid).cmdline()):
                os.kill(pid, signal.SIGKILL)
        try:
            yield
        finally:
            self._order(model, "unload")
            self._order(model, "load")

    @contextmanager
    def unloaded(self, model: str = YOLO26) -> Iterator[None]:
        self._order(model, "unload")
        try:
            yield
        finally:
            self._order(model, "load")

    def _order(self, model: str, what: str) -> None:
        url = f"http://{self.triton.http_url}/v2/repository/models/{model}/{what}"
        answer = httpx.post(url, headers=self.triton.http_admin, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text

    @contextmanager
    def ill(self, **fault: Any) -> Iterator[None]:
        """What `CODE` looks at before it answers: `adds_s`, `fails` (one call of five), `lies`."""
        self.tell(**fault)
        try:
            yield
        finally:
            self.tell()

    def tell(self, **fault: Any) -> None:
        draft = self.folder / "fault.draft"
        draft.write_text(json.dumps(fault))
        draft.replace(self.folder / "fault.json")

    @contextmanager
    def legacy_killed(self) -> Iterator[None]:
        self.legacy.kill()
        try:
            yield
        finally:
            self.legacy.start()

    @contextmanager
    def backend_killed(self) -> Iterator[None]:
        assert self.backend.process is not None
        self.backend.process.kill()
        self.backend.process.wait()
        try:
            yield
        finally:
            self.backend.start()

    @contextmanager
    def store_unreadable(self) -> Iterator[None]:
        """A directory stands where the file was."""
        store, aside = self.backend.var / "crossfade.db", self.backend.var / "aside"
        aside.mkdir()
        for file in self.backend.var.glob("crossfade.db*"):
            file.rename(aside / file.name)
        store.mkdir()
        try:
            yield
        finally:
            store.rmdir()
            for file in aside.iterdir():
                file.rename(self.backend.var / file.name)
            shutil.rmtree(aside)

    @contextmanager
    def flags(self, after: Mapping[str, Any], **during: Any) -> Iterator[None]:
        self.backend.set(**during)
        try:
            yield
        finally:
            self.backend.set(**after)


@contextmanager
def monitored(
    folder: Path,
    rules: Sequence[Path],
    *,
    alertmanager: AlertmanagerServer | None = None,
    also: Mapping[str, Sequence[str]] | None = None,
    legacy: Legacy | None = None,
    workers: int = 1,
    **variables: str,
) -> Iterator[MonitoredStack]:
    """`also`: further jobs and their addresses, other ones, or further backends; `variables`: the backend's."""
    legacy = legacy or Legacy()
    write_models(folder / "models")
    with ExitStack() as held:
        held.callback(legacy.stop)
        legacy.start()
        triton = held.enter_context(running_triton(folder / "models"))
        known: dict[str, Any] = {"TRITON_ENABLED": "true", "TRITON_TRAFFIC_FRACTION": "1", **variables}
        backend = held.enter_context(
            running_backend(legacy=legacy.url, triton=triton, workers=workers, **known)
        )
        targets = {
            "triton": (triton.plan.url("metrics"),),
            "yolo26": (f"127.0.0.1:{legacy.port}",),
            **(also or {}),
            "backend": (f"127.0.0.1:{backend.port}", *(also or {}).get("backend", ())),
        }
        address = alertmanager.address if alertmanager else ""
        copy = configuration(targets, rules, interval_s=INTERVAL_S, alertmanager=address)
        watch = Watch(held.enter_context(PrometheusServer(folder / "prometheus", copy).running()))
        watch.until_it_knows(sum(map(len, targets.values())))
        yield MonitoredStack(backend, triton, legacy, folder, watch)
