"""Each event moves exactly its own samples; nothing that a caller wrote becomes a label; what observing costs."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ai.core.errors import BackendError
from backend.observe import events
from backend.observe.events import (
    Attempted,
    BreakerMoved,
    Compared,
    DisagreementMeasured,
    FellBack,
    FlagsChanged,
    FlagsSeen,
    HeadroomMeasured,
    InFlight,
    RampRolledBack,
    RampStands,
    RampStepped,
    RampWaits,
    RequestEnded,
    Retried,
    RetryBudgetExhausted,
    ShadowDropped,
    Shed,
    SideReady,
    TurnedAway,
    told,
)
from backend.observe.labels import MAX_CHILDREN
from backend.observe.metrics import DURATION_BUCKETS_S, Metrics
from backend.services.errors import code_of
from backend.services.lanes import Barrier

pytestmark = pytest.mark.alone

SERVED = RequestEnded(
    request_id="r1", caller_request_id="theirs", camera="front", detector="yolo26", decided="triton", outcome="ok",
    backend="triton",
    model_version="1", reason="FRACTION", fallback_reason=None, attempts=1, bucket=7, fraction=0.1, flag_version=3,
    found=2, total_s=0.08, backend_s=0.06,
)  # fmt: skip
YOLO = {"detector": "yolo26"}


def samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        key(sample.name, **sample.labels): sample.value
        for family in families
        if not family.name.startswith("process_")
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def key(name: str, **labels: str) -> str:
    return f"{name}{sorted(labels.items())}"


def moved_by(event: events.Event) -> dict[str, float]:
    metrics = Metrics(None)
    before = samples(metrics)
    metrics(event)
    after = samples(metrics)
    return {
        name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name, 0.0)
    }


EXPECTED = [
    (
        Attempted("rtdetr", "triton", "deadline_exceeded", 0.4),
        {key("detector_attempts_total", detector="rtdetr", backend="triton", code="deadline_exceeded"): 1},
    ),
    (
        Attempted("rtdetr", "triton", "ok", 0.4, synthetic=True),
        {key("detector_attempts_total", detector="rtdetr", backend="triton", code="ok"): 1},
    ),
    (Retried("yolo26", "triton"), {key("detector_retries_total"): 1}),
    (RetryBudgetExhausted("yolo26", "triton"), {key("detector_retry_budget_exhausted_total"): 1}),
    (
        FellBack("yolo26", "triton", "legacy", "breaker_open"),
        {key("detector_fallbacks_total", **YOLO, **{"from": "triton", "to": "legacy"}, reason="breaker_open"): 1},
    ),
    (Shed("legacy", "share"), {key("detector_shed_total", reason="share"): 1}),
    (InFlight("legacy", 5), {key("detector_inflight", backend="legacy"): 5}),
    (
        BreakerMoved("yolo26", "triton", "open"),
        {
            key("detector_breaker_state", **YOLO, backend="triton"): 2,
            key("detector_breaker_transitions_total", **YOLO, backend="triton", to="open"): 1,
        },
    ),
    (
        BreakerMoved("yolo26", "triton", "half_open"),
        {
            key("detector_breaker_state", **YOLO, backend="triton"): 1,
            key("detector_breaker_transitions_total", **YOLO, backend="triton", to="half_open"): 1,
        },
    ),
    (SideReady("yolo26", "triton", True), {key("detector_ready", **YOLO, backend="triton"): 1}),
    (HeadroomMeasured("yolo26", 1.5), {key("detector_fallback_headroom_ratio", **YOLO): 1.5}),
    (
        FlagsSeen(True, 9, True, {"yolo26": 0.5, "rtdetr": 0.25}, {"yolo26": 0.4, "rtdetr": 0.2}),
        {
            key("rollout_enabled"): 1, key("rollout_flag_version"): 9, key("rollout_stale"): 1,
            key("rollout_fraction", **YOLO): 0.5, key("rollout_fraction", detector="rtdetr"): 0.25,
            key("rollout_effective_fraction", **YOLO): 0.4,
            key("rollout_effective_fraction", detector="rtdetr"): 0.2,
        },
    ),
    (ShadowDropped("yolo26", "queue_full"), {key("shadow_dropped_total", reason="queue_full"): 1}),
    (DisagreementMeasured("yolo26", 0.25), {key("shadow_disagreement_ratio", **YOLO): 0.25}),
    (FlagsChanged("rollback"), {key("rollout_changes_total", kind="rollback"): 1}),
    (RampStepped("yolo26", 3), {key("rollout_ramp_step", **YOLO): 3}),
    (
        RampStands("yolo26", True, 1.8e9),
        {
            key("rollout_ramp_running", **YOLO): 1,
            key("rollout_ramp_step_started_timestamp_seconds", **YOLO): 1.8e9,
        },
    ),
    (
        RampStands("yolo26", False, 1.8e9, rolled_back=True),
        {
            key("rollout_ramp_rolled_back", **YOLO): 1,
            key("rollout_ramp_step_started_timestamp_seconds", **YOLO): 1.8e9,
        },
    ),
    (
        TurnedAway("yolo26", "busy"),
        {key("detector_requests_total", **YOLO, backend="none", outcome="busy"): 1},
    ),
    (
        TurnedAway("rtdetr", "failed"),
        {key("detector_requests_total", detector="rtdetr", backend="none", outcome="failed"): 1},
    ),
    (RampWaits("yolo26", True), {key("rollout_ramp_paused", **YOLO): 1}),
    (RampRolledBack("yolo26"), {key("rollout_ramp_rollbacks_total", **YOLO): 1}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "expected"), EXPECTED, ids=lambda value: type(value).__name__)
def test_an_event_moves_its_own_samples_and_no_other(event, expected):
    assert moved_by(event) == pytest.approx(expected)


def test_an_ended_request_is_counted_and_timed_by_who_served_it():
    moved = moved_by(SERVED)
    labels = {"detector": "yolo26", "backend": "triton"}
    assert moved.pop(key("detector_requests_total", **labels, outcome="ok")) == 1
    assert moved.pop(key("detector_request_duration_seconds_sum", **labels)) == pytest.approx(0.08)
    assert moved.pop(key("detector_request_duration_seconds_count", **labels)) == 1
    buckets = [f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in DURATION_BUCKETS_S if bound > 0.08]
    assert moved == {
        key("detector_request_duration_seconds_bucket", **labels, le=le): 1 for le in [*buckets, "+Inf"]
    }


def test_a_request_that_nobody_served_has_the_backend_none():
    lost = replace(SERVED, backend=None, outcome="unavailable")
    moved = moved_by(lost)
    assert (
        moved[key("detector_requests_total", detector="yolo26", backend="none", outcome="unavailable")] == 1
    )
    assert moved[key("detector_request_duration_seconds_count", detector="yolo26", backend="none")] == 1


def test_a_comparison_is_counted_timed_and_measured_once():
    moved = moved_by(Compared("yolo26", "same", latency_delta_s=-0.03, mean_iou=0.96))
    assert moved[key("shadow_comparisons_total", **YOLO, verdict="same")] == 1
    assert moved[key("shadow_latency_delta_seconds_count", **YOLO)] == 1
    assert key("shadow_latency_delta_seconds_bucket", **YOLO, le="-0.05") not in moved
    assert moved[key("shadow_latency_delta_seconds_bucket", **YOLO, le="-0.02")] == 1
    assert moved[key("shadow_match_iou_sum", **YOLO)] == pytest.approx(0.96)


def test_a_verdict_without_a_pair_is_counted_and_measures_nothing():
    moved = moved_by(Compared("yolo26", "legacy_failed"))
    assert moved == {key("shadow_comparisons_total", **YOLO, verdict="legacy_failed"): 1}


def test_a_comparison_without_a_matched_box_says_nothing_of_overlap():
    moved = moved_by(Compared("yolo26", "triton_failed", latency_delta_s=0.1, mean_iou=None))
    assert not [name for name in moved if name.startswith("shadow_match_iou")]


def test_the_edges_that_objectives_are_written_with_are_buckets():
    assert {0.07, 0.1, 0.4, 0.5} <= set(DURATION_BUCKETS_S)
    assert DURATION_BUCKETS_S[0] <= 0.002
    assert DURATION_BUCKETS_S[-1] >= 10


def test_there_is_no_event_that_it_does_not_know():
    seen = {type(event) for event, _ in EXPECTED} | {RequestEnded, Compared}
    assert seen == set(get_args(events.Event))


def test_what_alerts_ask_of_stands_at_zero_from_the_start():
    standing = samples(Metrics(None))
    assert standing[key("detector_breaker_state", **YOLO, backend="triton")] == 0
    assert standing[key("detector_requests_total", **YOLO, backend="none", outcome="failed")] == 0
    assert standing[key("detector_breaker_transitions_total", **YOLO, backend="legacy", to="open")] == 0
    for verdict in ("same", "different", "triton_failed", "legacy_failed"):
        assert standing[key("shadow_comparisons_total", **YOLO, verdict=verdict)] == 0
    for reason in get_args(events.DropReason):
        assert standing[key("shadow_dropped_total", reason=reason)] == 0
    for code in {code_of(kind()) for kind in BackendError.__subclasses__()} | {"ok", "cancelled"}:
        assert standing[key("detector_attempts_total", **YOLO, backend="triton", code=code)] == 0
    for kind in get_args(events.ChangeKind):
        assert standing[key("rollout_changes_total", kind=kind)] == 0
    for reason in get_args(events.ShedReason):
        assert standing[key("detector_shed_total", reason=reason)] == 0
    assert standing[key("rollout_ramp_rollbacks_total", **YOLO)] == 0
    assert standing[key("rollout_ramp_rolled_back", **YOLO)] == 0


def test_a_first_burst_of_fallbacks_is_an_increase_whatever_its_reason():
    """The reasons are those that the story of a request can have."""
    standing = samples(Metrics(None))
    errors = {code_of(kind()) for kind in BackendError.__subclasses__()}
    for reason in errors | {*get_args(Barrier), "flag_changed"}:
        for from_, to in (("triton", "legacy"), ("legacy", "triton")):
            labels = {"from": from_, "to": to, "reason": reason}
            assert standing[key("detector_fallbacks_total", **YOLO, **labels)] == 0


def test_a_disagreement_that_nobody_knows_is_no_number():
    metrics, ratio = Metrics(None), key("shadow_disagreement_ratio", **YOLO)
    metrics(DisagreementMeasured("yolo26", 0.25))
    metrics(DisagreementMeasured("yolo26", None))
    assert math.isnan(samples(metrics)[ratio])


def test_a_side_that_cannot_serve_is_0_and_one_that_nobody_is_led_to_is_no_number():
    metrics, ready = Metrics(None), key("detector_ready", **YOLO, backend="triton")
    assert ready not in samples(metrics), "nobody has looked yet"
    metrics(SideReady("yolo26", "triton", False))
    assert samples(metrics)[ready] == 0
    metrics(SideReady("yolo26", "triton", None))
    assert math.isnan(samples(metrics)[ready])


HOSTILE = 'front"} 1\nforged_total{camera="x" \ud800'


@pytest.mark.parametrize(
    "event",
    [
        replace(SERVED, detector=HOSTILE),
        replace(SERVED, outcome=HOSTILE),
        replace(SERVED, backend=HOSTILE),
        Attempted(HOSTILE, "legacy", HOSTILE, 0.1),
        FellBack("yolo26", "triton", "legacy", HOSTILE),
        Shed("legacy", HOSTILE),
        FlagsSeen(True, 1, False, {HOSTILE: 0.5}, {HOSTILE: 0.5}),
        ShadowDropped("yolo26", "x" * 41),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_is_no_word_of_ours_becomes_other(event):
    moved = moved_by(event)
    assert [name for name in moved if "'other'" in name]
    assert not [name for name in moved if "forged" in name or "x" * 41 in name]


def test_a_detector_that_nobody_configured_is_other_however_innocent_its_name():
    moved = moved_by(replace(SERVED, detector="innocent"))
    assert moved[key("detector_requests_total", detector="other", backend="triton", outcome="ok")] == 1


def test_names_that_callers_invent_make_no_series_beyond_a_bound():
    metrics = Metrics(None)
    for number in range(10_000):
        metrics(ShadowDropped("yolo26", f"reason_{number}"))
        metrics(replace(SERVED, detector=f"detector_{number}"))
    dropped = {name: n for name, n in samples(metrics).items() if name.startswith("shadow_dropped_total")}
    assert len(dropped) <= MAX_CHILDREN + 1
    assert sum(dropped.values()) == 10_000
    assert len(metrics._requests._known) < 20


def test_callers_words_appear_nowhere():
    metrics = Metrics(None)
    metrics(
        replace(SERVED, camera="a-camera", request_id="an-id", caller_request_id="their-id", error="a-cause")
    )
    text = metrics.render().decode()
    assert not [word for word in ("a-camera", "an-id", "their-id", "a-cause") if word in text]


def test_two_in_one_process_do_not_meet():
    one, two = Metrics(None), Metrics(None)
    one(Retried("yolo26", "triton"))
    assert samples(one)[key("detector_retries_total")] == 1
    assert samples(two)[key("detector_retries_total")] == 0


def test_an_error_of_a_listener_reaches_neither_the_path_nor_the_other_listeners(caplog):
    metrics = Metrics(None)

    def broken(event: events.Event) -> None:
        raise ZeroDivisionError

    observe = told(broken, metrics)
    with caplog.at_level(logging.ERROR):
        observe(Retried("yolo26", "triton"))
        told(metrics)("no event at all")
    assert samples(metrics)[key("detector_retries_total")] == 1
    assert len(caplog.records) == 2


def test_shared_figures_need_a_directory_that_prometheus_was_told_of(tmp_path):
    with pytest.raises(RuntimeError, match="metrics_directory"):
        Metrics(tmp_path)


def test_observing_a_request_costs_less_than_looking_its_labels_up():
    """The control in the same run is what it would be without the kept children; 20 µs is the bound it has."""
    metrics = Metrics(None)
    about = (InFlight("triton", 1), Attempted("yolo26", "triton", "ok", 0.06), InFlight("triton", 0), SERVED)

    def observe() -> None:
        for event in about:
            metrics(event)

    def look_up() -> None:
        metrics._requests._metric.labels("yolo26", "triton", "ok").inc()
        metrics._durations._metric.labels("yolo26", "triton").observe(0.08)
        metrics._attempts._metric.labels("yolo26", "triton", "ok").inc()
        for count in (1, 0):
            metrics._in_flight._metric.labels("triton").set(count)

    assert best_of_s(observe) < best_of_s(look_up)


def best_of_s(work, rounds: int = 7, times: int = 2_000) -> float:
    def once() -> float:
        started = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - started

    return min(once() for _ in range(rounds))
