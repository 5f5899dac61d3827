"""How far the migration is, and whether the two sides are as good as each other."""

from __future__ import annotations

from typing import Final

from monitoring.board import Board, Row
from monitoring.panels import Panel, rising
from monitoring.promql import (
    increase,
    of,
    of_all_detectors,
    of_every_instance,
    quantile,
    rate,
    share,
    total,
    worst,
)

ANSWERED: Final = of("detector_requests_total", 'outcome="ok"')
BY_TRITON: Final = of("detector_requests_total", 'outcome="ok"', 'backend="triton"')
DURATIONS: Final = of("detector_request_duration_seconds_bucket")
DELTAS: Final = of("shadow_latency_delta_seconds_bucket")
OVERLAPS: Final = of("shadow_match_iou_bucket")

COMPARE: Final = "From start to end, fallback included. Triton is to be at or under legacy."
RUNNING: Final = worst(of("rollout_ramp_running"), "detector")
PAUSED: Final = worst(of("rollout_ramp_paused"), "detector")
ROLLED_BACK: Final = worst(of("rollout_ramp_rolled_back"), "detector")
STARTED: Final = worst(of("rollout_ramp_step_started_timestamp_seconds"), "detector")
IDLE: Final = "while nothing is compared: TRITON_SHADOW_FRACTION is 0, or Triton is off"
LED: Final = "while no ramp is on, and until something was compared at its step"
UNTRIED: Final = "until a ramp was started"

now = Row(
    "Now",
    (
        Panel(
            "Triton",
            "Whether any worker may touch Triton. Off: no request, probe or comparison reaches it.",
            "none",
            {"": f"max({of_all_detectors('rollout_enabled')})"},
            kind="stat", width=4, height=5,
            words={0: ("off", "blue"), 1: ("on", "green")},
        ),
        Panel(
            "In force",
            "The share of requests that is given to Triton, per detector.",
            "percentunit",
            {"{{detector}}": worst(of("rollout_effective_fraction"), "detector")},
            kind="stat", width=5, height=5, most=1,
        ),
        Panel(
            "Flags",
            "Stale: a worker cannot read where the flags are kept, and goes by what it knew last.",
            "none",
            {"": f"max({of_all_detectors('rollout_stale')})"},
            kind="stat", width=4, height=5,
            words={0: ("current", "green"), 1: ("stale", "red")},
            alerts=("FlagsStale",),
        ),
        Panel(
            "Version of the flags",
            "Of the worker that lags most. It rises by one with each change; a worker that is behind for "
            "seconds does not obey.",
            "none",
            {"slowest": f"min({of_all_detectors('rollout_flag_version')})"},
            kind="stat", width=3, height=5,
        ),
        Panel(
            "Firing alerts",
            "What Prometheus holds to be wrong now; the runbook has a section for each name.",
            "none",
            {"": 'max by (alertname, severity, component, detector) (ALERTS{alertstate="firing", severity!="none"})'},
            kind="table", width=8, height=5,
            empty_when="while no alert fires",
        ),
    ),
)  # fmt: skip

fractions = Row(
    "Fractions",
    (
        Panel(
            "Asked, in force, served",
            "What was asked for, what the workers do, and what Triton really served of the answered "
            "requests. The three lie on one another when all is well. In force over asked: a worker does not "
            "obey. Served under in force: Triton fails and the fallback answers.",
            "percentunit",
            {
                "asked {{detector}}": worst(of("rollout_fraction"), "detector"),
                "in force {{detector}}": worst(of("rollout_effective_fraction"), "detector"),
                "served {{detector}}": share(rate(BY_TRITON), rate(ANSWERED), "detector"),
            },
            width=16, most=1,
            alerts=("FractionNotObeyed", "TritonUnused"),
        ),
        Panel(
            "Changes of the flags",
            "How often the flags changed, and by whom: the ramp, a person, the environment, or a rollback of "
            "either.",
            "short",
            {"{{kind}}": increase(of_all_detectors("rollout_changes_total"), "kind")},
            stacked=True,
        ),
    ),
)  # fmt: skip

sides = Row(
    "Both sides, side by side",
    (
        Panel(
            "Requests by side",
            "Images of callers, by who answered them; `none` had no answer. Of all instances.",
            "reqps",
            {"{{backend}} {{detector}}": of_every_instance("detector_backend:detector_requests:rate5m")},
            width=12, stacked=True,
        ),
        Panel(
            "Failed calls",
            "The share of the calls of one side that ended with a fault of that side, probes included. A "
            "caller does not see it as long as the fallback holds. Of all instances.",
            "percentunit",
            {
                "{{backend}} {{detector}}": of_every_instance(
                    "detector_backend:detector_attempts_failed:ratio_rate5m"
                )
            },
            width=12, most=1, steps=rising(red=0.01),
            alerts=("TritonErrorsHigh",), empty_when="while nobody asks",
        ),
        Panel(
            "p50",
            f"Half of the requests took less than this. {COMPARE}",
            "s",
            {"{{backend}} {{detector}}": quantile(0.5, DURATIONS, "backend, detector")},
            empty_when="while nobody asks",
        ),
        Panel(
            "p95",
            f"95 of 100 requests took less than this, in all instances. {COMPARE}",
            "s",
            {
                "{{backend}} {{detector}}": of_every_instance(
                    "detector_backend:detector_request_duration_seconds:p95_5m"
                )
            },
            steps=rising(red=0.2),
            alerts=("TritonLatencyHigh", "LatencyBurnFast"), empty_when="while nobody asks",
        ),
        Panel(
            "p99",
            f"99 of 100 requests took less than this. {COMPARE}",
            "s",
            {"{{backend}} {{detector}}": quantile(0.99, DURATIONS, "backend, detector")},
            empty_when="while nobody asks",
        ),
    ),
)  # fmt: skip

agreement = Row(
    "Agreement",
    (
        Panel(
            "Disagreement",
            "Of what was compared at the ramp's present step, the share in which Triton differed from legacy "
            "or failed. Legacy's own unsteadiness is in it, which the ramp takes off before it judges: "
            "`crossfade ramp watch` shows what is left. As the worker says that leads.",
            "percentunit",
            {"{{detector}}": worst(of("shadow_disagreement_ratio"), "detector")},
            most=1, steps=rising(red=0.05),
            alerts=("ShadowDisagreement",), empty_when=LED,
        ),
        Panel(
            "Pictures that differ",
            "Of the pictures that both sides answered within 30 minutes, legacy's own unsteadiness included. "
            "It alerts over 5 %. Of all instances.",
            "percentunit",
            {"{{detector}}": of_every_instance("detector:shadow_comparisons_different:ratio_rate30m")},
            most=1, steps=rising(red=0.05),
            alerts=("ShadowDisagreement",), empty_when=IDLE,
        ),
        Panel(
            "Comparisons",
            "What came of the requests that were chosen to be compared. `triton_failed` counts against Triton, "
            "`legacy_failed` proves nothing.",
            "reqps",
            {"{{verdict}}": total(rate(of("shadow_comparisons_total")), "verdict")},
            stacked=True,
        ),
        Panel(
            "Dropped",
            "Of what was chosen within 30 minutes, the share that there was no room for, for all detectors "
            "and instances. Over 5 % the ramp holds its step, since what is left may not be typical.",
            "percentunit",
            {"dropped": "fleet:shadow_dropped:ratio_rate30m"},
            width=6, most=1, steps=rising(red=0.05),
            alerts=("ShadowDropping",), empty_when=IDLE,
        ),
        Panel(
            "Dropped, by reason",
            "`queue_full`, `bytes_full`: more is chosen than the sides can do besides; `unavailable`: a "
            "breaker is open; `fault` is one of ours. Of all detectors.",
            "reqps",
            {"{{reason}}": total(rate(of_all_detectors("shadow_dropped_total")), "reason")},
            width=6, stacked=True,
        ),
        Panel(
            "Triton's time less legacy's",
            "On the same picture; under 0 Triton is faster. It decides nothing: one of the two calls has a "
            "caller waiting, the other has not.",
            "s",
            {
                "{{detector}} median": quantile(0.5, DELTAS, "detector"),
                "{{detector}} p95": quantile(0.95, DELTAS, "detector"),
            },
            width=6, least=None, empty_when=IDLE,
        ),
        Panel(
            "Overlap of the boxes",
            "Of the boxes that both sides found, on one picture; 1 is the same box. One picture in twenty "
            "lies under the lower line.",
            "percentunit",
            {
                "{{detector}} median": quantile(0.5, OVERLAPS, "detector"),
                "{{detector}} worst 5 %": quantile(0.05, OVERLAPS, "detector"),
            },
            width=6, least=0.5, most=1, empty_when=IDLE,
        ),
    ),
)  # fmt: skip

ramp = Row(
    "Ramp",
    (
        Panel(
            "Ramp",
            "Waits: it is paused, at a gate, or held back until legacy could carry what would fall back; a "
            "person has to look. Rolled back: by itself, until another one starts or Triton is given a share "
            "by hand. A dry run is none.",
            "none",
            {
                "{{detector}}": f"{ROLLED_BACK} * 3 > 0 or {RUNNING} * (1 + {PAUSED}) or {RUNNING}"
            },
            kind="state-timeline", width=9,
            words={0: ("none", "text"), 1: ("runs", "green"), 2: ("waits", "yellow"), 3: ("rolled back", "red")},
            empty_when=UNTRIED,
        ),
        Panel(
            "Step",
            "The step that the ramp is at, the first one is 0. It rises when the evidence has earned it.",
            "none",
            {"{{detector}}": worst(of("rollout_ramp_step"), "detector")},
            width=5, empty_when=UNTRIED,
        ),
        Panel(
            "Time at this step",
            "Of a ramp that runs, and is no dry run. Up to a day is usual, three with a weekend between; "
            "`crossfade ramp watch` says what it waits for.",
            "s",
            {"{{detector}}": f"time() - {STARTED} and on (detector) {RUNNING} == 1"},
            width=5, steps=rising(red=3 * 86_400),
            alerts=("RampStuck",), empty_when="while no ramp runs",
        ),
        Panel(
            "Rollbacks of the ramp",
            "How many ramps have rolled back by themselves within the time that is shown. Each has its "
            "figures in the history.",
            "short",
            {"{{detector}}": increase(of("rollout_ramp_rollbacks_total"), "detector", "$__range")},
            kind="stat", width=5, steps=rising(red=1),
            alerts=("RampRolledBack",),
        ),
    ),
)  # fmt: skip

MIGRATION: Final = Board(
    "migration",
    "Crossfade: migration",
    "How far the migration is, and whether both sides are as good",
    (now, fractions, sides, agreement, ramp),
    instances='label_values(up{job="backend"}, instance)',
    since="now-6h",
)
