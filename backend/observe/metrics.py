"""What the backend tells Prometheus: every metric, fed by one observer. `docs/metrics.md` is its table.

With several workers prometheus_client keeps each one's figures in files of a shared directory, and whichever worker
is scraped adds all of them up. How gauges become one figure is said where each is made; the rule is that the worst
worker shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)  # fmt: skip

from backend.observe import events
from backend.observe.labels import BREAKER_STATES, NOBODY, Maker
from backend.observe.sharing import forget_the_dead, shared
from backend.observe.traffic import Traffic, traffic_of
from backend.settings import DETECTORS
from backend.sides import SIDES, Side

# From a fast GPU to the deadline; 0.07, 0.1, 0.4 and 0.5 are the edges that objectives are written with.
DURATION_BUCKETS_S = (
    0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10,
)  # fmt: skip
DELTA_BUCKETS_S = (-1, -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, 0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
IOU_BUCKETS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1)


class Metrics:
    """`directory`: where the workers' files lie (`workers.metrics_directory`); None: this process is alone."""

    content_type: str = CONTENT_TYPE_LATEST

    def __init__(self, directory: Path | None, detectors: Collection[str] = DETECTORS) -> None:
        self._directory = directory
        self._detectors = detectors
        self._registry = CollectorRegistry()
        self._scraped = self._registry if directory is None else shared(directory)
        if directory is None:  # of several workers it would show whichever happened to be scraped
            ProcessCollector(registry=self._registry)
        self._new = Maker(self._registry, detectors)
        self._make_requests()
        self._make_sides()
        self._make_rollout()
        self._make_ramp()
        self._make_shadow()
        self._begin_at_zero()
        self._listeners = self._by_type()

    def __call__(self, event: events.Event) -> None:
        self._listeners[type(event)](event)

    def render(self) -> bytes:
        """Reads every worker's files: milliseconds, in a thread that serves nobody."""
        return generate_latest(self._of_the_living())

    def traffic(self, at: float) -> Traffic:
        """Read from the same, at the same cost; `at` in unix seconds."""
        samples = (sample for metric in self._of_the_living().collect() for sample in metric.samples)
        return traffic_of(samples, self._detectors, DURATION_BUCKETS_S, at)

    def _of_the_living(self) -> CollectorRegistry:
        if self._directory is not None:
            forget_the_dead(self._directory)
        return self._scraped

    def _make_requests(self) -> None:
        self._requests = self._new.counter(
            "detector_requests", "Images of callers, by who served them and what became of them",
            "detector", "backend", "outcome",
        )  # fmt: skip
        self._durations = self._new.histogram(
            "detector_request_duration_seconds", "From a request's start to its end, fallback included",
            DURATION_BUCKETS_S, "detector", "backend",
        )  # fmt: skip
        self._fallbacks = self._new.counter(
            "detector_fallbacks", "Requests that went on to another side", "detector", "from", "to", "reason"
        )
        self._retries = self._new.lone_counter("detector_retries", "Second calls of the same side")
        self._budget_exhausted = self._new.lone_counter(
            "detector_retry_budget_exhausted", "Retries that the retry budget did not allow"
        )
        self._shed = self._new.counter("detector_shed", "Requests refused because a side is full", "reason")

    def _make_sides(self) -> None:
        self._attempts = self._new.counter(
            "detector_attempts", "Calls of one side, probes included, by how they ended",
            "detector", "backend", "code",
        )  # fmt: skip
        self._breakers = self._new.gauge(
            "detector_breaker_state", "0 closed, 1 half open, 2 open; the worst of all workers", "livemax",
            "detector", "backend",
        )  # fmt: skip
        self._transitions = self._new.counter(
            "detector_breaker_transitions", "Moves of a breaker, in all workers", "detector", "backend", "to"
        )
        self._in_flight = self._new.gauge(
            "detector_inflight",
            "Calls under way, abandoned ones included; of all workers",
            "livesum",
            "backend",
        )
        self._ready = self._new.gauge(
            "detector_ready",
            "1 while a side serves callers, 0 while it cannot, NaN while the flags lead nobody to it; the least of"
            " all workers",
            "livemin", "detector", "backend",
        )  # fmt: skip
        self._headroom = self._new.gauge(
            "detector_fallback_headroom_ratio",
            "What legacy could carry over what is asked; the least of all workers", "livemin", "detector",
        )  # fmt: skip

    def _make_rollout(self) -> None:
        self._enabled = self._new.lone_gauge(
            "rollout_enabled", "1 while any worker may touch Triton", "livemax"
        )
        self._fraction = self._new.gauge(
            "rollout_fraction", "The share of requests that was asked for", "livemostrecent", "detector"
        )
        self._effective = self._new.gauge(
            "rollout_effective_fraction",
            "The share in force; the greatest of all workers",
            "livemax",
            "detector",
        )
        self._version = self._new.lone_gauge(
            "rollout_flag_version", "Of the state; of the worker that lags most", "livemin"
        )
        self._stale = self._new.lone_gauge(
            "rollout_stale", "1 while any worker cannot read the flags' source", "livemax"
        )
        self._changes = self._new.counter("rollout_changes", "Changes of the flags, by who made them", "kind")

    def _make_ramp(self) -> None:
        self._ramp_step = self._new.gauge(
            "rollout_ramp_step", "The step that the ramp is at", "livemostrecent", "detector"
        )
        self._ramp_running = self._new.gauge(
            "rollout_ramp_running", "1 from a ramp's start to its last promotion, unless it is a dry run", "livemax",
            "detector",
        )  # fmt: skip
        self._ramp_paused = self._new.gauge(
            "rollout_ramp_paused", "1 while a ramp waits for a person", "livemax", "detector"
        )
        self._ramp_step_started = self._new.gauge(
            "rollout_ramp_step_started_timestamp_seconds", "When the evidence of the present step was begun",
            "livemax", "detector",
        )  # fmt: skip
        self._ramp_rolled_back = self._new.gauge(
            "rollout_ramp_rolled_back",
            "1 from a ramp's own rollback until another one starts or Triton is given a share by hand", "livemax",
            "detector",
        )  # fmt: skip
        self._ramp_rollbacks = self._new.counter(
            "rollout_ramp_rollbacks", "Ramps that rolled back by themselves", "detector"
        )

    def _make_shadow(self) -> None:
        self._comparisons = self._new.counter(
            "shadow_comparisons",
            "Requests chosen for a comparison, by what came of it",
            "detector",
            "verdict",
        )
        self._shadow_dropped = self._new.counter(
            "shadow_dropped", "Requests chosen for a comparison that had none", "reason"
        )
        self._disagreement = self._new.gauge(
            "shadow_disagreement_ratio",
            "The share of a step's comparisons in which Triton differed or failed",
            "livemostrecent",
            "detector",
        )
        self._latency_delta = self._new.histogram(
            "shadow_latency_delta_seconds",
            "Triton's time less legacy's, on one picture",
            DELTA_BUCKETS_S,
            "detector",
        )
        self._iou = self._new.histogram(
            "shadow_match_iou", "Mean overlap of the boxes that both sides found", IOU_BUCKETS, "detector"
        )

    def _begin_at_zero(self) -> None:
        """What alerts ask of: the first of a series that did not exist is no increase to Prometheus."""
        for detector in self._detectors:
            for side in SIDES:
                self._begin_side(detector, side)
            for outcome in get_args(events.Outcome):
                if outcome != "ok":
                    self._requests.of(detector, NOBODY, outcome)
            for verdict in get_args(events.Verdict):
                self._comparisons.of(detector, verdict)
            self._ramp_rolled_back.of(detector).set(0)
            self._ramp_rollbacks.of(detector)
        for side in SIDES:
            self._in_flight.of(side).set(0)
        for kind in get_args(events.ChangeKind):
            self._changes.of(kind)
        for place in get_args(events.ShedReason):
            self._shed.of(place)
        for reason in get_args(events.DropReason):
            self._shadow_dropped.of(reason)

    def _begin_side(self, detector: str, side: Side) -> None:
        self._requests.of(detector, side, "ok")
        self._breakers.of(detector, side).set(BREAKER_STATES["closed"])
        for state in BREAKER_STATES:
            self._transitions.of(detector, side, state)
        for code in get_args(events.AttemptCode):
            self._attempts.of(detector, side, code)
        for other in SIDES:
            for reason in get_args(events.FallbackReason) if other != side else ():
                self._fallbacks.of(detector, side, other, reason)

    def _by_type(self) -> Mapping[type[events.Event], Callable[[Any], None]]:
        return {
            events.RequestEnded: self._request_ended,
            events.TurnedAway: lambda event: self._requests.of(event.detector, NOBODY, event.outcome).inc(),
            events.Attempted: self._attempted,
            events.InFlight: self._in_flight_moved,
            events.FellBack: self._fell_back,
            events.Retried: lambda _: self._retries.inc(),
            events.RetryBudgetExhausted: lambda _: self._budget_exhausted.inc(),
            events.Shed: lambda event: self._shed.of(event.reason).inc(),
            events.BreakerMoved: self._breaker_moved,
            events.SideReady: self._side_ready,
            events.HeadroomMeasured: lambda event: self._headroom.of(event.detector).set(event.ratio),
            events.FlagsSeen: self._flags_seen,
            events.FlagsChanged: lambda event: self._changes.of(event.kind).inc(),
            events.RampStepped: lambda event: self._ramp_step.of(event.detector).set(event.step),
            events.RampStands: self._ramp_stands,
            events.RampWaits: lambda event: self._ramp_paused.of(event.detector).set(event.for_a_person),
            events.RampRolledBack: lambda event: self._ramp_rollbacks.of(event.detector).inc(),
            events.Compared: self._compared,
            events.ShadowDropped: lambda event: self._shadow_dropped.of(event.reason).inc(),
            events.DisagreementMeasured: lambda event: self._disagreement.of(event.detector).set(
                _number(event.ratio)
            ),
        }

    def _request_ended(self, event: events.RequestEnded) -> None:
        backend = event.backend or NOBODY
        self._requests.of(event.detector, backend, event.outcome).inc()
        self._durations.of(event.detector, backend).observe(event.total_s)

    def _attempted(self, event: events.Attempted) -> None:
        self._attempts.of(event.detector, event.backend, event.code).inc()

    def _in_flight_moved(self, event: events.InFlight) -> None:
        self._in_flight.of(event.backend).set(event.count)

    def _fell_back(self, event: events.FellBack) -> None:
        self._fallbacks.of(event.detector, event.from_, event.to, event.reason).inc()

    def _breaker_moved(self, event: events.BreakerMoved) -> None:
        self._breakers.of(event.detector, event.backend).set(BREAKER_STATES[event.to])
        self._transitions.of(event.detector, event.backend, event.to).inc()

    def _side_ready(self, event: events.SideReady) -> None:
        self._ready.of(event.detector, event.backend).set(_number(event.ready))

    def _ramp_stands(self, event: events.RampStands) -> None:
        self._ramp_running.of(event.detector).set(event.running)
        self._ramp_step_started.of(event.detector).set(event.step_at)
        self._ramp_rolled_back.of(event.detector).set(event.rolled_back)

    def _flags_seen(self, event: events.FlagsSeen) -> None:
        self._enabled.set(event.enabled)
        self._version.set(event.version)
        self._stale.set(event.stale)
        for detector, fraction in event.asked.items():
            self._fraction.of(detector).set(fraction)
        for detector, fraction in event.effective.items():
            self._effective.of(detector).set(fraction)

    def _compared(self, event: events.Compared) -> None:
        self._comparisons.of(event.detector, event.verdict).inc()
        if event.latency_delta_s is not None:
            self._latency_delta.of(event.detector).observe(event.latency_delta_s)
        if event.mean_iou is not None:
            self._iou.of(event.detector).observe(event.mean_iou)


def _number(value: float | None) -> float:
    """NaN says that there is nothing to say; `sharing` lets it hide no other worker's figure."""
    return math.nan if value is None else value
