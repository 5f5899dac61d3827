"""What befalls small real stacks, each story with a stack and a Prometheus of its own, so that they can run at once.

A story is short because time is: 5 minutes of a rule are 5 seconds here (`tests.shortened_rules`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx

from tests.alert_watch import Watch
from tests.alertmanager_server import AlertmanagerServer, running_receiver
from tests.backends import Backend, running_backend
from tests.gpu_exporter import GpuExporter, running_gpu
from tests.legacy_process import legacy_process
from tests.monitored_stack import BROKEN, INTERVAL_S, Legacy, MonitoredStack, monitored
from tests.paging import TICKET_S, Paged, Told, until
from tests.prometheus_server import MONITORING
from tests.shortened_rules import shortened

FACTOR = 60.0
QUICK = {"PROBE_IDLE_S": "1", "BREAKER_OPEN_S": "0.5", "BREAKER_OPEN_MAX_S": "0.5"}


Story = Callable[[Path, Sequence[str]], Told]


# --- a side dies, and a page goes out ---------------------------------------------------------------------------


def a_side_dies(folder: Path, expressions: Sequence[str]) -> Told:
    """Everything goes to Triton, and is watched by Alertmanager as well."""
    rules = shortened(MONITORING, folder / "rules", FACTOR, INTERVAL_S)
    with ExitStack() as held:
        receiver = held.enter_context(running_receiver())
        alertmanager = held.enter_context(
            AlertmanagerServer(folder / "alertmanager", receiver, FACTOR).running()
        )
        budget = {"RETRY_BUDGET_SHARE": "0", "RETRY_BUDGET_PER_S": "0"}
        also = {"alertmanager": (alertmanager.address,)}
        stack = held.enter_context(
            monitored(folder, rules, alertmanager=alertmanager, also=also, **QUICK, **budget)
        )
        told = Told(stack.watch)
        stack.watch.expressions = expressions
        held.enter_context(stack.traffic())
        stack.watch.befalls("the receiver takes nothing", [], receiver.away(), later=["AlertsNotDelivered"])
        paged = Paged(told, stack.watch, receiver, alertmanager.inhibited)
        paged.befalls(
            "Triton is killed under load", TRITON_DIES, "TritonDown", stack.triton_killed(), TICKET_S
        )
        paged.befalls("the stub is killed", ["TritonStubDead"], "TritonStubDead", stack.stub_dead())
        paged.befalls("the backend is killed", ["BackendDown"], "BackendDown", stack.backend_killed())
        stack.watch.befalls("a model is unloaded", ["TritonModelNotReady"], stack.unloaded())
        stack.watch.settle()
        stack.watch.look_around()
        told.heartbeats = receiver.of("heartbeat")
        told.links = {one.link for one in receiver.messages if one.receiver != "heartbeat"}
    return told


TRITON_DIES = ("TritonDown", "BreakerOpen", "FallbacksHigh", "TritonUnused", "RetryBudgetExhausted")


# --- there are too many, and answers are slow -------------------------------------------------------------------


def a_crowd_comes(folder: Path, expressions: Sequence[str]) -> Told:
    """Half of it to a legacy with few places, half to a slow model; neither takes under 0.5 s for anybody.

    While the long windows forget it a GPU is crowded, and legacy dies. No GPU is at hand: what Prometheus scrapes as
    Triton's is the real Triton's text with the lines of a GPU added.
    """
    rules = shortened(MONITORING, folder / "rules", FACTOR, INTERVAL_S)
    known = {**QUICK, "TRITON_TRAFFIC_FRACTION": "0.5", "LEGACY_MAX_IN_FLIGHT": "2"}
    gpu, legacy = GpuExporter(), Legacy(inference_s=0.6)
    with running_gpu(gpu) as address, legacy_process() as spare:
        also = {"triton": (address,), "rtdetr": (f"127.0.0.1:{legacy.port}", f"127.0.0.1:{spare.port}")}
        with monitored(folder, rules, also=also, legacy=legacy, **known) as stack:
            gpu.triton_url = stack.triton.metrics_url
            watch = stack.watch
            watch.expressions = expressions
            crowd = _both(stack.ill(adds_s=0.6), stack.traffic(callers=16, pause_s=0.05))
            watch.befalls("a crowd comes to two slow sides", CROWDED, crowd, later=SLOW)
            stack.backend.set(fraction=1.0)
            with stack.traffic():
                meanwhile = _both(gpu.crowded(), stack.legacy_killed())
                watch.befalls("a GPU is crowded, and legacy is killed", MEANWHILE, meanwhile)
                watch.befalls("the metrics port is closed", ["TritonNotScraped"], gpu.closed())
                watch.settle()
                watch.look_around()
        return Told(watch)


MEANWHILE = ("FallbackDown", "ReplicaDown", "GpuMemoryHigh", "GpuBusy")
CROWDED = (
    "DetectionsFailing", "RequestsShed", "FallbackHeadroomLow", "TritonLatencyHigh", "TritonQueueSlow",
    "AvailabilityBurnFast", "LatencyBurnFast",
)  # fmt: skip
SLOW = ("AvailabilityBurnSlow", "LatencyBurnSlow")


@contextmanager
def _both(*faults: Any) -> Iterator[None]:
    with ExitStack() as held:
        for fault in faults:
            held.enter_context(fault)
        yield


# --- the flags are not obeyed, and comparisons find no room -----------------------------------------------------


def flags_go_astray(folder: Path, expressions: Sequence[str]) -> Told:
    """Two workers, and a queue for one comparison; before that the models fail, and are asked too much."""
    rules = shortened(MONITORING, folder / "rules", FACTOR, INTERVAL_S)
    known = {**QUICK, "SHADOW_QUEUE": "1", "SHADOW_CONCURRENCY": "1"}
    with monitored(folder, rules, workers=2, **known) as stack:
        with stack.traffic(callers=3):
            told = _astray(stack, expressions)
        stack.watch.befalls("nobody asks any more", [], nullcontext(), later=["TrafficStopped"])
        with stack.traffic():
            stack.watch.settle()
            stack.watch.look_around()
    return told


def _astray(stack: MonitoredStack, expressions: Sequence[str]) -> Told:
    watch, told = stack.watch, Told(stack.watch)
    watch.expressions = expressions
    ill = _both(stack.ill(fails=True, adds_s=0.05), stack.traffic(6, 0.05, "&detector=rtdetr"))
    watch.befalls("calls fail, and a queue is full", ["TritonErrorsHigh", "TritonQueueOverflow"], ill)
    stack.backend.set(fraction=0.0, shadow=1.0)
    slow = stack.ill(adds_s=0.3)
    watch.befalls("comparisons wait for a slow Triton", [], slow, later=["ShadowDropping"])
    stack.backend.set(fraction=1.0)
    rubbish = stack.traffic(1, 0.02, "&detector=rtdetr", images=[BROKEN])
    watch.befalls("callers send rubbish", ["RefusalsHigh"], rubbish)
    watch.befalls("the store cannot be read", ["FlagsStale"], stack.store_unreadable())
    stopped = _worker_that_does_not_hear(stack.backend, told)
    watch.befalls("a worker hears of no rollback and is killed", ["FractionNotObeyed"], stopped)
    return told


@contextmanager
def _worker_that_does_not_hear(backend: Backend, told: Told) -> Iterator[None]:
    """Its gauges say what it obeyed last, until it is killed: then they vanish, and what they said with them."""
    worker = backend.workers[0]
    os.kill(worker, signal.SIGSTOP)
    try:
        backend.rollback()
        yield
        told.facts["gauges of the stopped"] = _gauges_of(backend, worker)
    finally:
        os.kill(worker, signal.SIGKILL)
    backend.until(lambda: not _scraped_gauges_of(backend, worker), "the gauges of a dead worker stay")
    told.facts["gauges of the killed"] = _gauges_of(backend, worker)


def _scraped_gauges_of(backend: Backend, worker: int) -> int:
    backend.metrics()
    return _gauges_of(backend, worker)


def _gauges_of(backend: Backend, worker: int) -> int:
    return len(list(backend.var.glob(f"run/metrics-*/gauge_*_{worker}.db")))


# --- a ramp goes wrong ------------------------------------------------------------------------------------------

A_RAMP = {
    "RAMP_STEPS": "0.5,1", "RAMP_DISAGREEMENT": "0.05", "RAMP_ERRORS": "0.15", "RAMP_SLOW": "0.5", "RAMP_FRESH": "0.5",
    "RAMP_HEADROOM": "0", "RAMP_STEP_S": "3600", "RAMP_BASELINE_TIMES": "59", "RAMP_LOOK_S": "0.2",
    "EVIDENCE_CAMERA_GAP_S": "0", "EVIDENCE_LATENCY_GAP_S": "0", "EVIDENCE_FLUSH_S": "0.2",
    "TRITON_TRAFFIC_FRACTION": "0", "TRITON_SHADOW_FRACTION": "1",
}  # fmt: skip


def a_ramp_goes_wrong(folder: Path, expressions: Sequence[str]) -> Told:
    """It stands at its first step for too long, then waits for a person; then the model begins to lie.

    Beside it there is a replica with an `.env` of its own.
    """
    rules = shortened(MONITORING, folder / "rules", FACTOR, INTERVAL_S)
    with running_backend(env_file="TRITON_ENABLED=true\n", ready=False) as replica:
        also = {"backend": (f"127.0.0.1:{replica.port}",)}
        with monitored(folder, rules, also=also, **QUICK, **A_RAMP) as stack, stack.traffic(callers=3):
            stack.watch.expressions = expressions
            order_ramp(stack.backend, "start", force=True)
            off = _switched_off(replica)
            stack.watch.befalls("a replica is switched off by its own file", ["ReplicasDisagree"], off)
            return _wrong(stack)


def _wrong(stack: MonitoredStack) -> Told:
    watch = stack.watch
    until(lambda: ramp_of(stack.backend)["phase"] == "running", "the ramp never made a step")
    ended = _ended_by_a_lie(watch, stack, ["RampRolledBack", "ShadowDisagreement"])
    watch.befalls("a ramp makes no step", ["RampStuck"], ended)
    told = Told(watch, facts={"ended": ramp_of(stack.backend)["ended"]})
    stack.backend.set(overrides={"yolo26": 0.5})  # somebody has seen it
    watch.settle()
    watch.look_around()
    return told


@contextmanager
def _switched_off(replica: Backend) -> Iterator[None]:
    replica.say(TRITON_ENABLED="false")
    yield
    replica.say(TRITON_ENABLED="true")


@contextmanager
def _ended_by_a_lie(watch: Watch, stack: MonitoredStack, later: Sequence[str]) -> Iterator[None]:
    """What ends the ramp that stands still is itself the next fault."""
    yield
    watch.befalls("a ramp is paused and forgotten", ["RampWaits"], _paused(stack.backend))
    watch.befalls("the model lies to a ramp", [], stack.ill(lies=True), later=later)


@contextmanager
def _paused(backend: Backend) -> Iterator[None]:
    order_ramp(backend, "pause")
    yield
    order_ramp(backend, "resume")


def order_ramp(backend: Backend, action: str, **more: Any) -> None:
    body = {"action": action, "detector": "yolo26", "reason": "a try", **more}
    url = backend.url + "/api/rollout/ramp"
    answer = httpx.post(url, json=body, headers=backend.admin, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text


def ramp_of(backend: Backend) -> dict[str, Any]:
    ramp: dict[str, Any] = backend.get("/api/rollout/ramp").json()["ramps"]["yolo26"]
    return ramp


STORIES: dict[str, Story] = {
    "a side dies": a_side_dies,
    "a crowd comes": a_crowd_comes,
    "flags go astray": flags_go_astray,
    "a ramp goes wrong": a_ramp_goes_wrong,
}
