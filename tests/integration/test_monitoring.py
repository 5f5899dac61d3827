"""Our rules on a real Prometheus and a real Alertmanager: every alert comes from its real fault, and goes with it.

Four stories run at once, each with a stack and a Prometheus of its own (`tests.monitored_stories`); time goes faster in
copy of the rules that they use (`tests.shortened_rules`). What each took is printed with `-s`. All is real but the
GPU: its lines stand in a real Triton's text (`tests.gpu_exporter`).
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alert_rules import severities_of
from tests.alertmanager_server import RECEIVERS, SECRETS, needs_alertmanager
from tests.monitored_stories import STORIES, TRITON_DIES
from tests.paging import Told
from tests.prometheus_server import MONITORING, needs_prometheus
from tests.shortened_rules import shorter_expression

pytestmark = [needs_prometheus, needs_alertmanager, pytest.mark.timeout(300), pytest.mark.long]

ALERTMANAGER = str(MONITORING / "alertmanager.yml")
RULES = [
    rule
    for file in [MONITORING / "recording.yml", *sorted((MONITORING / "alerts").glob("*.yml"))]
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}

# What cannot be made real in so short a time, and why. Those have the tests of promtool alone.
NOT_LIVE = {"Watchdog": "it has no fault: it always fires, and the heartbeat below is it"}

# Expressions of panels that have no data here, and why.
EMPTY_HERE: dict[str, str] = {}


def expressions_of_dashboards() -> dict[str, str]:
    """Each as Grafana would send it, for all detectors and instances, and the dashboard that asks it."""
    found: dict[str, str] = {}
    for file in sorted((MONITORING / "dashboards").glob("*.json")):
        for expression in _expressions(json.loads(file.read_text())):
            found[filled(expression)] = file.stem
    return found


def _expressions(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "expr" in part:
            yield part["expr"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _expressions(one)


def filled(expression: str) -> str:
    """A variable of Grafana's own is a time, one of ours stands for all there is."""
    expression = re.sub(r"\$(__range|__rate_interval|__interval)\b", "1m", expression)
    return re.sub(r"\$\{?\w+(:\w+)?\}?", ".*", expression)


PANELS = expressions_of_dashboards()
ASKED = sorted({*PANELS, *RECORDED})


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Told]]]:
    """All of them under way; a test asks for the result of the one that it is about."""
    with ThreadPoolExecutor(len(STORIES), thread_name_prefix="story") as pool:
        yield {
            name: pool.submit(story, tmp_path_factory.mktemp("story"), ASKED)
            for name, story in STORIES.items()
        }


# --- what can be said without a fault ---------------------------------------------------------------------------


def test_prometheus_takes_its_configuration() -> None:
    said = run("promtool", "check", "config", str(MONITORING / "prometheus.yml"))
    assert "SUCCESS" in said, said
    assert f"{len(list((MONITORING / 'alerts').glob('*.yml'))) + 1} rule files found" in said, said


def test_alertmanager_takes_its_configuration() -> None:
    assert "SUCCESS" in run("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("receiver", "labels"),
    [
        ("page", ["severity=page", "alertname=TritonDown", "component=triton"]),
        ("ticket", ["severity=ticket", "alertname=TritonLatencyHigh", "component=triton"]),
        ("info", ["severity=info", "alertname=GpuBusy", "component=gpu"]),
        ("heartbeat", ["severity=none", "alertname=Watchdog", "component=backend"]),
        ("ticket", ["alertname=SomethingWithoutASeverity"]),
    ],
)
def test_each_severity_has_its_receiver_and_none_is_lost(receiver: str, labels: list[str]) -> None:
    words = ["amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    assert run(*words, f"--verify.receivers={receiver}", *labels).split()[-1] == receiver


def test_every_alert_goes_to_a_receiver_by_its_own_labels() -> None:
    """And one that has no route of its own, by a slip of the pen, would be a ticket."""
    severities = set().union(*map(severities_of, ALERTS.values()))
    assert severities == {"page", "ticket", "info", "none"}
    assert {name for name, rule in ALERTS.items() if rule["labels"]["severity"] == "none"} == {"Watchdog"}


def test_no_address_stands_in_the_configuration() -> None:
    text = Path(ALERTMANAGER).read_text()
    assert not re.search(r"https?://", text)
    assert re.findall(rf"{SECRETS}(\w+)_url", text.partition("receivers:")[2]) == list(RECEIVERS)


def test_what_silences_and_what_is_silenced_are_alerts_of_ours() -> None:
    """A rule that was renamed would silence nothing from then on, and nobody would notice."""
    named = set()
    for rule in yaml.safe_load(Path(ALERTMANAGER).read_text())["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            if matcher.startswith("alertname"):
                named |= expanded(re.split(r"[=!~ ]+", matcher, maxsplit=1)[1])
    assert named
    assert named <= set(ALERTS)


def expanded(pattern: str) -> set[str]:
    """`A|B(c|d)` → A, Bc, Bd."""
    inner = re.search(r"\w*\(([^)]*)\)", pattern)
    if inner:
        stem = inner[0].partition("(")[0]
        pattern = pattern.replace(inner[0], "|".join(stem + end for end in inner[1].split("|")))
    return set(pattern.split("|"))


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- the copy in which time goes faster -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "shorter"),
    [
        ("rate(a_total[5m]) > 5", "rate(a_total[5000ms]) > 5"),
        ("increase(a_total[1m])", "increase(a_total[4000ms])"),  # at least four scrapes
        ("max_over_time(a[1h:5m]) offset 1d", "max_over_time(a[60000ms:5000ms]) offset 1440000ms"),
        ("time() - max by (detector) (a_timestamp_seconds) > 259200", None),
        ('a{le="0.5"} / 1e6 > 300', 'a{le="0.5"} / 1e6 > 300'),  # no time
    ],
)
def test_only_time_is_divided(expression: str, shorter: str | None) -> None:
    expected = shorter or "time() - max by (detector) (a_timestamp_seconds) > 6"
    assert shorter_expression(expression, 60.0, 4.0) == expected


# --- every alert, live ------------------------------------------------------------------------------------------


def test_every_alert_is_fired_or_it_is_said_why_not() -> None:
    fired = [alert for alerts in FIRED_IN.values() for alert in alerts]
    assert sorted([*fired, *NOT_LIVE]) == sorted(ALERTS)


FIRED_IN = {
    "a side dies": (*TRITON_DIES, "AlertsNotDelivered", "TritonStubDead", "BackendDown", "TritonModelNotReady"),
    "a crowd comes": (
        "DetectionsFailing", "RequestsShed", "FallbackHeadroomLow", "TritonLatencyHigh", "TritonQueueSlow",
        "AvailabilityBurnFast", "AvailabilityBurnSlow", "LatencyBurnFast", "LatencyBurnSlow", "FallbackDown",
        "ReplicaDown", "GpuMemoryHigh", "GpuBusy", "TritonNotScraped",
    ),
    "flags go astray": (
        "TritonErrorsHigh", "TritonQueueOverflow", "ShadowDropping", "FlagsStale", "FractionNotObeyed",
        "TrafficStopped", "RefusalsHigh",
    ),
    "a ramp goes wrong": ("ReplicasDisagree", "RampStuck", "RampWaits", "RampRolledBack", "ShadowDisagreement"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("story", "alert"), [(story, one) for story, all_ in FIRED_IN.items() for one in all_]
)
def test_an_alert_comes_from_its_fault_and_goes_with_it(
    stories: dict[str, Future[Told]], story: str, alert: str
) -> None:
    seen = stories[story].result().watch.seen[alert]
    print(f"{seen.fault}: {alert} after {seen.fired_after_s:.1f} s, gone after {seen.cleared_after_s:.1f} s")
    assert seen.labels["severity"] in severities_of(ALERTS[alert])
    assert seen.cleared_after_s is not None


@pytest.mark.parametrize(("fault", "page"), [
    ("Triton is killed under load", "TritonDown"),
    ("the stub is killed", "TritonStubDead"),
    ("the backend is killed", "BackendDown"),
])  # fmt: skip
def test_what_dies_pages_once(stories: dict[str, Future[Told]], fault: str, page: str) -> None:
    told = stories["a side dies"].result()
    assert [one.alert for one in told.pages[fault]] == [page]
    (sent,) = told.pages[fault]
    assert ALERTS[page]["annotations"]["runbook_url"] == sent.link
    assert sent.text.strip()


def test_a_dead_triton_silences_what_follows_from_it(stories: dict[str, Future[Told]]) -> None:
    """They fire in Prometheus, and Alertmanager keeps them to itself."""
    told, fault = stories["a side dies"].result(), "Triton is killed under load"
    assert told.silenced[fault] >= {"BreakerOpen", "FallbacksHigh", "TritonUnused"}
    assert "TritonDown" not in told.silenced[fault]
    assert not told.tickets[fault] & told.silenced[fault]


def test_the_heart_beats_while_the_backend_is_dead(stories: dict[str, Future[Told]]) -> None:
    told = stories["a side dies"].result()
    (paged,) = told.pages["the backend is killed"]
    beats = [one.at for one in told.heartbeats]
    assert any(at < paged.at for at in beats)
    assert any(at > paged.at for at in beats)


def test_a_killed_workers_gauges_go_and_its_alert_with_them(stories: dict[str, Future[Told]]) -> None:
    told = stories["flags go astray"].result()
    assert told.facts["gauges of the stopped"] > 0
    assert told.facts["gauges of the killed"] == 0
    assert told.watch.seen["FractionNotObeyed"].cleared_after_s is not None


def test_a_ramp_is_rolled_back_because_of_what_the_model_said(stories: dict[str, Future[Told]]) -> None:
    assert "rolled back" in stories["a ramp goes wrong"].result().facts["ended"]


# --- every expression -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_data(stories: dict[str, Future[Told]]) -> set[str]:
    return set().union(*(told.result().watch.with_data for told in stories.values()))


@pytest.mark.parametrize("story", STORIES)
def test_no_rule_fails_to_be_worked_out(stories: dict[str, Future[Told]], story: str) -> None:
    """As a join would that finds two series where it expects one, which nobody sees but in a fault."""
    assert stories[story].result().watch.complaints == set()


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_recording_rule_has_data(with_data: set[str], name: str) -> None:
    assert name in with_data


@pytest.mark.parametrize("expression", sorted(PANELS))
def test_a_panel_has_data_or_it_is_known_why_not(with_data: set[str], expression: str) -> None:
    assert (expression in with_data) != (expression in EMPTY_HERE)


def test_what_is_known_to_be_empty_is_still_asked() -> None:
    assert set(EMPTY_HERE) <= set(PANELS)
