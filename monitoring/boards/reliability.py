"""What callers get, what of it had to be saved, and how near the limits are."""

from __future__ import annotations

from typing import Final

from monitoring.board import Board, Row
from monitoring.panels import Panel, falling, rising
from monitoring.promql import (
    increase,
    least,
    of,
    of_all_detectors,
    of_every_instance,
    rate,
    total,
    worst,
)

WINDOWS: Final = {"5 min": "5m", "30 min": "30m", "1 h": "1h", "6 h": "6h"}
PACES: Final = rising(yellow=6, red=14.4)
PACE: Final = (
    "1 is the pace that uses the budget up in exactly a month. It pages when 1 h and 5 min are over 14.4, "
    "and is a ticket when 6 h and 30 min are over 6."
)
LEGACY_REQUESTS: Final = (
    'inference_requests_total{job=~"$detector"}'  # each service is called as its detector
)
SIDE: Final = "{{backend}} {{detector}}"


def burn(objective: str) -> dict[str, str]:
    return {name: f"slo:{objective}_burn:ratio_rate{window}" for name, window in WINDOWS.items()}


def in_30_days(series: str) -> str:
    return f"sum(increase({series}[30d]))"


COUNTED: Final = in_30_days('detector_requests_total{outcome!~"refused|gone"}')
UNSERVED: Final = in_30_days('detector_requests_total{outcome=~"unavailable|busy|late|failed"}')
ANSWERS: Final = in_30_days('detector_request_duration_seconds_count{backend!="none"}')
IN_TIME: Final = in_30_days('detector_request_duration_seconds_bucket{backend!="none", le="0.5"}')

objectives = Row(
    "Objectives",
    (
        Panel(
            "Availability budget left",
            "Of the requests that may go without an answer in 30 days (or as long as Prometheus keeps "
            "figures), the share that is left. Callers' own faults do not count. At 0 nothing risky is "
            "begun, a ramp least of all.",
            "percentunit",
            {"": f"1 - {UNSERVED} / {COUNTED} / (1 - scalar(slo:availability:objective))"},
            kind="stat", width=4, least=None, most=1, steps=falling(red=0, yellow=0.25),
            empty_when="until somebody asked",
        ),
        Panel(
            "Burn of the availability budget",
            PACE,
            "short",
            burn("availability"),
            steps=PACES, alerts=("AvailabilityBurnFast", "AvailabilityBurnSlow"), empty_when="while nobody asks",
        ),
        Panel(
            "Latency budget left",
            "The same, of the answers that may take longer than 0.5 s.",
            "percentunit",
            {"": f"1 - (1 - {IN_TIME} / {ANSWERS}) / (1 - scalar(slo:latency:objective))"},
            kind="stat", width=4, least=None, most=1, steps=falling(red=0, yellow=0.25),
            empty_when="until somebody asked",
        ),
        Panel(
            "Burn of the latency budget",
            PACE,
            "short",
            burn("latency"),
            steps=PACES, alerts=("LatencyBurnFast", "LatencyBurnSlow"), empty_when="while nobody asks",
        ),
    ),
)  # fmt: skip

requests = Row(
    "Requests",
    (
        Panel(
            "Requests by outcome",
            "`refused` is the picture's fault, `gone` a caller who hung up. `unavailable`, `busy` and `late` "
            "are ours to mend, `failed` is a bug.",
            "reqps",
            {"{{outcome}}": total(rate(of("detector_requests_total")), "outcome")},
            width=12, stacked=True,
        ),
        Panel(
            "Without an answer",
            "The share of requests that no side served, callers' own faults aside, in 5 minutes and all "
            "instances.",
            "percentunit",
            {"{{detector}}": of_every_instance("detector:detector_requests_unserved:ratio_rate5m")},
            width=12, most=1, steps=rising(red=0.05),
            alerts=("DetectionsFailing",), empty_when="while nobody asks",
        ),
    ),
)  # fmt: skip

saved = Row(
    "Saved by the fallback",
    (
        Panel(
            "Fallbacks by reason",
            "Requests that went on to the other side. `breaker_open` costs a caller nothing, "
            "`deadline_exceeded` most of the deadline's share.",
            "reqps",
            {
                "{{detector}} {{from}} to {{to}}: {{reason}}": total(
                    rate(of("detector_fallbacks_total")), "detector, from, to, reason"
                )
            },
            stacked=True, empty_when="until a request has fallen back",
        ),
        Panel(
            "Share that falls back",
            "Of what Triton was to serve, in 5 minutes and all instances. Callers are served; the migration "
            "is not.",
            "percentunit",
            {"{{detector}}": of_every_instance("detector:detector_fallbacks:ratio_rate5m")},
            most=1, steps=rising(red=0.01),
            alerts=("FallbacksHigh",),
            empty_when="until a request has fallen back, and while Triton is to serve nobody",
        ),
        Panel(
            "Headroom of the fallback",
            "What legacy could carry over what is asked now. Under 1 a Triton that fails takes callers with "
            "it, and the ramp makes no step.",
            "none",
            {"{{detector}}": least(of("detector_fallback_headroom_ratio"), "detector")},
            steps=falling(red=1, yellow=1.5),
            alerts=("FallbackHeadroomLow", "FallbackDown"), empty_when="until legacy was busy enough to be measured",
        ),
    ),
)  # fmt: skip

breakers = Row(
    "Breakers and retries",
    (
        Panel(
            "Breakers",
            "The worst of all workers. Open: that side gets no caller. Half open: it is tried with a picture "
            "of our own.",
            "none",
            {SIDE: worst(of("detector_breaker_state"), "backend, detector")},
            kind="state-timeline", width=12,
            words={0: ("closed", "green"), 1: ("half open", "yellow"), 2: ("open", "red")},
            alerts=("BreakerOpen",),
        ),
        Panel(
            "Sides that answer",
            "Whether a side has answered a real inference since it may be used. A side that the flags do not "
            "allow has no line.",
            "none",
            {SIDE: f"{least(of('detector_ready'), 'backend, detector')} >= 0"},
            kind="state-timeline", width=12,
            words={0: ("no", "red"), 1: ("yes", "green")},
            alerts=("TritonModelNotReady", "FallbackDown"),
        ),
        Panel(
            "Breakers that opened",
            "How often, in all workers. Again and again: a side that flaps.",
            "short",
            {SIDE: increase(of("detector_breaker_transitions_total", 'to="open"'), "backend, detector")},
            width=12, alerts=("BreakerOpen",),
        ),
        Panel(
            "Retries",
            "Second calls of the same side, and those that the budget (20 % of the requests and 10 a second) "
            "did not allow. Refused ones are a side that fails much.",
            "reqps",
            {
                "made": f"sum({rate(of_all_detectors('detector_retries_total'))})",
                "refused by the budget": f"sum({rate(of_all_detectors('detector_retry_budget_exhausted_total'))})",
            },
            width=12, alerts=("RetryBudgetExhausted",),
        ),
    ),
)  # fmt: skip

load = Row(
    "Load",
    (
        Panel(
            "Calls under way",
            "Abandoned ones included. At TRITON_MAX_IN_FLIGHT or LEGACY_MAX_IN_FLIGHT times the workers, "
            "requests are shed.",
            "short",
            {"{{backend}}": total(of_all_detectors("detector_inflight"), "backend")},
            width=8,
        ),
        Panel(
            "Shed, by reason",
            "Requests that a side had no place for. `full`: all places are taken; `share`: this camera has "
            "had its share; `pace`: the answer would come too late.",
            "reqps",
            {"{{reason}}": total(rate(of_all_detectors("detector_shed_total")), "reason")},
            width=8, stacked=True,
            alerts=("RequestsShed",),
        ),
        Panel(
            "Legacy services",
            "What the services themselves answer, comparisons included. 503: not ready, or its queue is "
            "full; 499: the backend hung up.",
            "reqps",
            {"{{job}} {{status}}": total(rate(LEGACY_REQUESTS), "job, status")},
            width=8, stacked=True, empty_when="when legacy is retired",
        ),
    ),
)  # fmt: skip

RELIABILITY: Final = Board(
    "reliability",
    "Crossfade: reliability",
    "What callers get, fallbacks, breakers, retries and sheds",
    (objectives, requests, saved, breakers, load),
    instances='label_values(up{job="backend"}, instance)',
)
