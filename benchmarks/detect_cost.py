"""What one DetectorClient.detect costs in a process of its own, over a side that does nothing, and what its parts do.

    python -m benchmarks.detect_cost --repeats 9 --calls 500

The parts are the same objects, asked alone and as often; all take turns in each repeat, and the median of the repeats
counts. What they leave of the whole is the client's own: its values, its way through the sides, waiting for the task.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from ai.core.detections import Thresholds
from ai.core.sample import sample_jpeg
from backend.main import Transports, compose_client
from backend.observe.events import Attempted, Event, InFlight, Observer, RequestEnded, told
from backend.observe.logs import RequestLog
from backend.observe.metrics import Metrics
from backend.observe.writer import Writer
from backend.rollout.flags import Flags, View
from backend.rollout.quota import Traffic
from backend.rollout.state import RolloutState
from backend.services.admission import Admission
from backend.services.attempt import Attempt
from backend.services.breaker import Breaker, BreakerPolicy
from backend.services.deadline import Deadline
from backend.services.detector_client import DetectorClient
from backend.services.headroom import Demand
from backend.services.pace import Pace
from backend.services.request import RequestInfo
from backend.services.retry import RetryBudget
from backend.services.typical import Typical
from backend.settings import Settings
from backend.sides import TRITON
from backend.transports.base import Ask
from benchmarks.backend_apps import FOUND, sides
from benchmarks.report import Spread

WHOLE = "DetectorClient.detect"
METRICS, LOG = "observer: metrics", "observer: log line"
DETECTOR, CAMERA, REQUEST_ID = "yolo26", "gate", "0123456789abcdef0123456789abcdef"
TIMEOUT_S = 2.0  # of the question, as long as a side usually gets

Work = Callable[[], Awaitable[object]]
"""One request's worth of it."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    cpu_us: Spread  # of this process, for one request: a busy machine does not change it much


async def costs(repeats: int, calls: int) -> list[Part]:
    """The whole first."""
    with Path(os.devnull).open("w") as nowhere:
        writer = Writer(nowhere, "json")
        parts = await in_turns(_works(Metrics(None), RequestLog(writer, 1.0, "json")), repeats, calls)
        writer.close()
    return parts


async def in_turns(works: Mapping[str, Work], repeats: int, calls: int) -> list[Part]:
    """Each is warmed up, then all take turns; the median of the repeats counts."""
    for work in works.values():
        await cpu_us(work, calls)
    seen = [{name: await cpu_us(work, calls) for name, work in works.items()} for _ in range(repeats)]
    return [Part(name, Spread.of([one[name] for one in seen])) for name in works]


async def cpu_us(work: Work, calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        await work()
    return (time.process_time() - started) / calls * 1e6


def _works(metrics: Metrics, log: RequestLog) -> dict[str, Work]:
    return {WHOLE: _whole(told(metrics, log)), **_parts(), **_observing(metrics, log)}


def _whole(observe: Observer) -> Work:
    client = composed(observe)
    for lane in client.sides():
        observe(InFlight(lane.backend, 0))
    return detecting(client)


def composed(observe: Observer, transports: Transports | None = None) -> DetectorClient:
    """As the backend has it, over sides that do nothing."""
    settings = Settings(_env_file=None, triton_enabled=True, triton_model=DETECTOR)
    asked = sides() if transports is None else transports
    return compose_client(settings, asked, _flags(), Traffic(60.0).seen, observe)[0]


def detecting(client: DetectorClient, picture: bytes | None = None) -> Work:
    """One request of one camera; the bundled picture, where none is given."""
    asked, about = picture or sample_jpeg(), RequestInfo(REQUEST_ID)

    async def detect() -> object:
        return await client.detect(asked, camera=CAMERA, deadline=Deadline.after(5.0), about=about)

    return detect


def _flags() -> Flags:
    return Flags(View(RolloutState(version=1, fraction=1.0)))


def _parts() -> dict[str, Work]:
    """What a request does between its start and its end, by the hands that do it."""
    return {**_deciding(), **_guarding(), **_asking()}


def _deciding() -> dict[str, Work]:
    flags = _flags()
    decision = flags.decide(DETECTOR, CAMERA, REQUEST_ID)

    async def decide() -> object:
        return flags.decide(DETECTOR, CAMERA, REQUEST_ID)

    async def still() -> object:
        return flags.still(decision, DETECTOR, CAMERA, REQUEST_ID)

    return {"flags.decide": decide, "flags.still": still}


def _guarding() -> dict[str, Work]:
    admission, breaker = Admission(256), Breaker(BreakerPolicy(), time.monotonic, lambda _: None)
    pace, typical, demand = Pace(), Typical(0.3), Demand()
    budget, traffic = RetryBudget(0.2, 10.0), Traffic(60.0)

    async def admit() -> None:
        admission.refusal(CAMERA)
        admission.enter(CAMERA)
        admission.leave(CAMERA)

    async def guard() -> None:
        generation = breaker.admit()
        if generation is not None:
            breaker.ended(generation, True)

    async def measure() -> object:
        demand.asked()
        budget.asked()
        traffic.seen(DETECTOR, CAMERA)
        pace.started()
        pace.ended(True)
        typical.succeeded(0.02)
        return pace.capacity_per_s, typical.bound_s

    return {"admission": admit, "breaker": guard, "demand, pace, typical": measure}


def _asking() -> dict[str, Work]:
    ask, side, thresholds = Ask(DETECTOR, sample_jpeg(), TIMEOUT_S), sides()[TRITON], Thresholds(0.5)

    async def attempt() -> object:
        return await Attempt(side, ask, 0.3, lambda *_: None).answer(lambda _: None)

    async def threshold() -> object:
        return FOUND.detections.above(thresholds)

    return {"attempt: task, timers, side": attempt, "thresholds": threshold}


def _observing(metrics: Metrics, log: RequestLog) -> dict[str, Work]:
    return {METRICS: telling(told(metrics)), LOG: telling(told(log))}


def telling(observe: Observer) -> Work:
    """The four events of a request that one side served."""
    events = one_request()

    async def tell() -> None:
        for event in events:
            observe(event)

    return tell


def one_request() -> tuple[Event, ...]:
    return (
        InFlight(TRITON, 1),
        InFlight(TRITON, 0),
        Attempted(DETECTOR, TRITON, "ok", 0.02),
        RequestEnded(
            request_id=REQUEST_ID, caller_request_id="", camera=CAMERA, detector=DETECTOR, decided="legacy",
            outcome="ok",
            backend=TRITON, model_version="1", reason="FRACTION", fallback_reason=None, attempts=1, bucket=50_000,
            fraction=1.0, flag_version=1, found=len(FOUND.detections), total_s=0.0213, backend_s=0.02,
        ),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detect_cost", description="JSON out.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args(arguments)
    print(json.dumps([asdict(part) for part in uvloop.run(costs(options.repeats, options.calls))]))


if __name__ == "__main__":
    main()
