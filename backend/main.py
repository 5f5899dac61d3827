"""The one place that composes: settings in, an app out.

`uvicorn --factory backend.main:app --workers N` serves it; `create_app(settings)` is for whoever embeds it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI

from ai.core.detections import Thresholds
from ai.core.errors import BadSetting
from ai.core.labels import COCO_80
from ai.web.spans_asked import spans_asked_for
from backend.api.app import create_api
from backend.api.keys import Keys
from backend.api.parts import Parts
from backend.observe import workers
from backend.observe.events import BreakerMoved, BreakerState, Observer, told
from backend.observe.logs import RequestLog, configure
from backend.observe.writer import Writer
from backend.ramp.certificates import Certificates
from backend.ramp.freezing import Freeze
from backend.ramp.headrooms import Headrooms
from backend.ramp.orders import Orders
from backend.ramp.pilot import Pilot
from backend.rollout.control import Rollout
from backend.rollout.flags import Flags
from backend.services.admission import Admission
from backend.services.breaker import Breaker, BreakerPolicy
from backend.services.detector_client import DetectorClient, Offering, Seen, nothing_offered
from backend.services.lanes import Crowd, Lane, Lanes
from backend.services.pace import Pace
from backend.services.policy import Policy
from backend.services.probe import Prober
from backend.services.request import Begun, untraced
from backend.services.retry import RetryBudget
from backend.services.room import Room
from backend.services.tracing import Traced, Untraced
from backend.services.twin import Twin
from backend.services.typical import Typical
from backend.settings import DETECTORS, Settings, read_settings
from backend.shadow.judging import PairJudge
from backend.shadow.recorder import Recorder
from backend.shadow.shadow import Shadow, ShadowLimits
from backend.sides import LEGACY, SIDES, TRITON, Side
from backend.standstill import ended_at_a_standstill
from backend.transports.base import Transport
from backend.transports.legacy import LegacyTransport
from backend.transports.triton import TritonTarget, TritonTransport

MEASURE_S = 1.0

Transports = Mapping[Side, Transport]
Clock = Callable[[], float]


def app(transports: Transports | None = None) -> FastAPI:
    """What each worker of uvicorn makes; a bad setting ends it with one line."""
    try:
        api = create_app(read_settings(), transports, own_process=True)
    except BadSetting as error:
        sys.exit(str(error))
    gc.collect()
    gc.freeze()  # what lives as long as the process is never garbage; to search it stopped the loop for 55 ms at a time
    return api


def create_app(
    settings: Settings, transports: Transports | None = None, *, own_process: bool = False
) -> FastAPI:
    """`transports` stand in for the real sides; they are the caller's to close. A process of its own ends where its
    event loop stands still."""
    _require_sound(settings)

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if own_process:
                _start(stack, ended_at_a_standstill())
            api.state.parts = await _composed(settings, transports, stack)
            yield

    return create_api(lifespan)


def require_startable(settings: Settings) -> None:
    """BadSetting for what would end each worker as it starts: said once, before there are any."""
    _require_sound(settings)
    if not settings.legacy_enabled:
        asyncio.run(_require_served(settings))


def _require_sound(settings: Settings) -> None:
    """What the settings' own types cannot see."""
    Keys.of(settings)
    _thresholds(settings)
    Freeze.parsed(settings.ramp_freeze)


async def _require_served(settings: Settings) -> None:
    """Without legacy the state that is stored must leave requests to nobody else."""
    rollout = Rollout.opened(settings, told(), workers.worker_id())
    await rollout.start()
    await rollout.stop()


async def _composed(settings: Settings, transports: Transports | None, stack: AsyncExitStack) -> Parts:
    """What is entered last ends first: callers, then probes, then connections, then the flags and the log."""
    directory = workers.metrics_directory(settings.crossfade_var)
    from backend.observe.metrics import Metrics  # noqa: PLC0415 - Prometheus must know the directory first

    metrics, log, tracing = Metrics(directory), _log(settings, stack), _tracing(stack)
    rollout = Rollout.opened(settings, told(metrics, log), workers.worker_id())
    await rollout.start()
    stack.push_async_callback(rollout.stop)
    recorder, headrooms = Recorder(rollout, settings, workers.worker_id()), Headrooms()
    stack.push_async_callback(recorder.close)
    observe = told(metrics, log, recorder, headrooms, *tracing.listeners)
    sides = transports if transports is not None else _real_sides(settings, stack)
    client, prober = _compared(settings, sides, rollout, observe, tracing, stack)
    certificates = Certificates.of(settings)
    pilot = Pilot(rollout, settings, certificates, headrooms.of, workers.worker_id(), observe)
    stack.push_async_callback(pilot.close)
    _start(stack, prober.run(), _measuring(client), recorder.run(), pilot.run())
    orders = Orders(rollout, settings, certificates, DETECTORS)
    return Parts.of(settings, client, rollout, orders, Keys.of(settings), metrics, observe)


def _compared(
    settings: Settings, sides: Transports, rollout: Rollout, observe: Observer, tracing: Untraced,
    stack: AsyncExitStack,
) -> tuple[DetectorClient, Prober]:  # fmt: skip
    """The client, with the comparisons of what it was asked."""

    def is_available(detector: str, side: Side) -> bool:
        return client.is_available(detector, side)

    judge = PairJudge.of(rollout, settings, _thresholds(settings))
    stack.callback(judge.close)
    twin = tracing.twin(Twin(sides, settings.shadow_timeout_s))
    shadow = Shadow(twin, is_available, rollout.flags.may_compare, judge, observe, _shadow_limits(settings))
    client, prober = compose_client(
        settings,
        tracing.sides(sides),
        rollout.flags,
        rollout.traffic.seen,
        observe,
        shadow.offer,
        tracing.begun,
    )
    stack.push_async_callback(client.drain)
    stack.push_async_callback(prober.close)
    _start(stack, shadow.run())
    stack.push_async_callback(shadow.close)
    return client, prober


def _shadow_limits(settings: Settings) -> ShadowLimits:
    return ShadowLimits(
        settings.shadow_queue, settings.shadow_queue_bytes, settings.shadow_concurrency, settings.shadow_timeout_s
    )  # fmt: skip


def _start(stack: AsyncExitStack, *works: Coroutine[Any, Any, None]) -> None:
    for work in works:
        stack.push_async_callback(_ended, asyncio.create_task(work))


def _log(settings: Settings, stack: AsyncExitStack) -> RequestLog:
    writer = Writer(sys.stdout, settings.log_format)
    stack.callback(writer.close)
    configure(settings.log_format, writer)
    log = RequestLog(writer, settings.log_sample, settings.log_format)
    stack.callback(log.close)
    return log


def _tracing(stack: AsyncExitStack) -> Untraced:
    """Of this process's own making: its exporter is a thread, which no fork would carry over."""
    spans = spans_asked_for("crossfade-backend")
    if spans is None:
        return Untraced()
    stack.push_async_callback(asyncio.to_thread, spans.close)
    return Traced(spans)


def compose_client(
    settings: Settings,
    sides: Transports,
    flags: Flags,
    seen: Seen,
    observe: Observer,
    offer: Offering = nothing_offered,
    begun: Begun = untraced,
    clock: Clock = time.monotonic,
) -> tuple[DetectorClient, Prober]:
    lanes = _lanes(settings, sides, observe, clock)
    budgets = {
        side: RetryBudget(settings.retry_budget_share, settings.retry_budget_per_s, clock) for side in SIDES
    }
    client = DetectorClient(lanes, flags, _policy(settings), budgets, seen, observe, offer, begun, clock)
    prober = Prober(
        lanes.values(), sides, client.reachable, lambda side: side == TRITON and not flags.triton_on,
        idle_s=settings.probe_idle_s, timeout_s=settings.probe_timeout_s, clock=clock,
    )  # fmt: skip
    return client, prober


def _policy(settings: Settings) -> Policy:
    return Policy(
        default_detector=settings.triton_model,
        thresholds=_thresholds(settings),
        fallbacks={side: settings.fallbacks_of(side) for side in SIDES},
        timeouts_s={LEGACY: settings.legacy_timeout_s, TRITON: settings.triton_timeout},
        deadline_s=settings.detect_deadline_s,
        triton_share=settings.triton_deadline_share,
        max_retries=settings.triton_max_retries,
    )


def _thresholds(settings: Settings) -> Thresholds:
    unknown = sorted(set(settings.triton_class_thresholds) - set(COCO_80))
    if unknown:
        raise BadSetting(
            f"TRITON_CLASS_THRESHOLDS: {unknown[0]!r} is no class; the classes are {', '.join(COCO_80)}"
        )
    by_class = {COCO_80.index(label): value for label, value in settings.triton_class_thresholds.items()}
    return Thresholds(settings.triton_confidence_threshold, by_class)


def _real_sides(settings: Settings, stack: AsyncExitStack) -> Transports:
    target = TritonTarget(settings.triton_url, settings.triton_http_url, settings.triton_protocol)
    sides: Transports = {
        LEGACY: LegacyTransport(settings.legacy_urls),
        TRITON: TritonTransport(target, settings.triton_models),
    }
    for transport in sides.values():
        stack.push_async_callback(transport.close)
    return sides


def _lanes(settings: Settings, sides: Transports, observe: Observer, clock: Clock) -> Lanes:
    places = {LEGACY: settings.legacy_max_in_flight, TRITON: settings.triton_max_in_flight}
    crowds = {side: Crowd(side, observe) for side in SIDES}
    allowed = SIDES if settings.legacy_enabled else (TRITON,)
    return {
        (detector, side): Lane(
            detector, side, sides[side],
            breaker=Breaker(_breaker_policy(settings), clock, _mover(detector, side, observe)),
            admission=Admission(places[side], clock),
            pace=Pace(clock),
            typical=Typical(settings.abandoned_attempt_s),
            room=Room(),
            longest_s=settings.detect_deadline_s,
            crowd=crowds[side],
            observe=observe,
            clock=clock,
        )
        for detector in DETECTORS for side in allowed
    }  # fmt: skip


def _breaker_policy(settings: Settings) -> BreakerPolicy:
    return BreakerPolicy(
        failures=settings.breaker_failures, share=settings.breaker_share, least=settings.breaker_least,
        window_s=settings.breaker_window_s, open_s=settings.breaker_open_s,
        open_growth=settings.breaker_open_growth, open_max_s=settings.breaker_open_max_s,
        probes=settings.breaker_probes,
    )  # fmt: skip


def _mover(detector: str, side: Side, observe: Observer) -> Callable[[BreakerState], None]:
    return lambda to: observe(BreakerMoved(detector, side, to))


async def _measuring(client: DetectorClient) -> None:
    while True:
        client.measure()
        await asyncio.sleep(MEASURE_S)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
