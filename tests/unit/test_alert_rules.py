"""Every alert fires, is quiet and clears as monitoring/tests say, can be read by whoever is woken, and asks
for metrics that somebody exports. Made wrong in any one place, it breaks a test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from ai.serving.metrics import ServiceMetrics
from backend.observe.metrics import Metrics
from tests.alert_mutants import mutants_of
from tests.alert_rules import (
    ALERT_FILES,
    ALERTS,
    MONITORING,
    RECORDED,
    TEST_FILES,
    TESTS,
    checks_of,
    failed_in,
    names_in,
    needs_promtool,
    promtool,
    recorded_for,
    severities_of,
    trial_of,
)

RUNBOOK = "https://github.com/crossfade/crossfade/blob/main/docs/runbook.md"
SEVERITIES = {"page", "ticket", "info", "none"}
COMPONENTS = {"triton", "backend", "legacy", "rollout", "gpu"}
PROMETHEUS_OWN = {
    "up", "prometheus_notifications_dropped_total", "prometheus_rule_evaluation_failures_total",
    "alertmanager_notifications_failed_total",
}  # fmt: skip
TRITONS = {
    "nv_inference_queue_duration_us", "nv_inference_request_success", "nv_inference_count", "nv_inference_exec_count",
    "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes", "nv_gpu_utilization",
}  # fmt: skip
GPUS = {
    "gpu_memory_used_bytes",
    "gpu_memory_total_bytes",
    "gpu_utilization_ratio",
}  # of ai.serving, where there is one
NO_FALSE_MOMENT = {"Watchdog"}
EXPRESSIONS = {name: rule["expr"] for name, rule in {**ALERTS, **RECORDED}.items()}


@dataclass(frozen=True)
class Trial:
    failed: frozenset[str]
    said: str
    mutants: Mapping[str, Mapping[str, str]]  # by alert: what was done, by the mutant's name


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Each alert and all its mutants, in one run of promtool."""
    folder, paths, mutants = tmp_path_factory.mktemp("alerts"), [], {}
    for name, rule in ALERTS.items():
        wrong = {f"{name}__{at}": one for at, one in enumerate(mutants_of(rule))}
        mutants[name] = {mutant: words for mutant, (words, _) in wrong.items()}
        changed = [other | {"alert": mutant} for mutant, (_, other) in wrong.items()]
        paths += trial_of(name, [rule, *changed], folder)
    failed, said = failed_in(paths)
    assert "alertname:" in said, said
    return Trial(frozenset(failed), said, mutants)


def expected_of(alert: str) -> list[bool]:
    """Of each of its checks, whether it is to fire."""
    return [bool(check["exp_alerts"]) for _, _, checks in checks_of(alert) for check in checks]


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_rules():
    code, said = promtool("check", "rules", str(MONITORING / "recording.yml"), *map(str, ALERT_FILES))
    assert code == 0, said


@needs_promtool
def test_what_is_recorded_has_the_figures_that_its_tests_name():
    code, said = promtool("test", "rules", str(MONITORING / "tests" / "recording.test.yml"))
    assert code == 0, said


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_it_fires_is_quiet_and_clears(trial: Trial, alert: str):
    assert alert not in trial.failed, trial.said


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_no_clause_threshold_label_or_wait_of_it_can_go_unnoticed(trial: Trial, alert: str):
    unnoticed = [words for mutant, words in trial.mutants[alert].items() if mutant not in trial.failed]
    assert not unnoticed
    assert trial.mutants[alert], "there is something to be got wrong"


@pytest.mark.parametrize("alert", ALERTS)
def test_it_has_a_test_in_which_it_fires_and_one_in_which_it_is_quiet(alert: str):
    assert set(expected_of(alert)) == ({True} if alert in NO_FALSE_MOMENT else {True, False})


@pytest.mark.parametrize("alert", [name for name in ALERTS if name not in NO_FALSE_MOMENT])
def test_its_tests_let_it_clear_restart_what_it_asks_and_take_every_series_away(alert: str):
    told = [[bool(check["exp_alerts"]) for check in checks] for _, _, checks in checks_of(alert)]
    assert any(any(before) and not last for *before, last in told), "it clears"
    groups = [group["name"] for _, group, _ in checks_of(alert)]
    assert [name for name in groups if "restart" in name]
    assert [name for name in groups if name.startswith("There is no")]
    assert [name for name in groups if name.startswith("Nobody asks")] or alert in {
        "GpuMemoryHigh",
        "GpuBusy",
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_whoever_is_woken_can_read_what_is_wrong_how_much_and_where_to_look(alert: str):
    labels, annotations = ALERTS[alert]["labels"], ALERTS[alert]["annotations"]
    assert set(labels) == {"severity", "component"}
    assert severities_of(ALERTS[alert]) <= SEVERITIES
    assert labels["component"] in COMPONENTS
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "$value" in annotations["description"]
    assert annotations["runbook_url"] == f"{RUNBOOK}#{alert.lower()}"


def test_every_file_of_tests_asks_the_rules_as_they_stand():
    for path, file in zip(TEST_FILES, TESTS.values(), strict=True):
        asked = {(path.parent / name).resolve() for name in file["rule_files"]}
        assert asked <= {MONITORING / "recording.yml", *ALERT_FILES}


def test_every_recorded_figure_has_a_test_of_its_own():
    told = " ".join(
        check["expr"] for group in TESTS["recording.test.yml"]["tests"]
        for check in group["promql_expr_test"] if check["exp_samples"]
    )  # fmt: skip
    assert not [name for name in RECORDED if not re.search(rf"{name}(?![\w:])", told)]


def test_every_ratio_is_tried_without_traffic():
    silent = {
        check["expr"] for group in TESTS["recording.test.yml"]["tests"]
        for check in group["promql_expr_test"] if not check["exp_samples"]
    }  # fmt: skip
    assert {name for name in RECORDED if "ratio_rate" in name} <= silent


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_it_asks_for_is_exported(name: str):
    exported = families().keys() | TRITONS | GPUS | PROMETHEUS_OWN | RECORDED.keys()
    assert names_in(EXPRESSIONS[name]) <= exported


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_labels_that_it_asks_by_are_those_of_the_metric(name: str):
    known = families()
    for metric, selector in re.findall(r"([A-Za-z_:]\w*)\{([^}]*)\}", EXPRESSIONS[name]):
        if metric in known:
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", selector)) <= known[metric], metric


def test_a_name_that_nobody_exports_would_be_found():
    assert names_in('sum by (le) (rate(nv_inference_exec_duration_us{model="a"}[5m])) > 200000 and on () up') == {
        "nv_inference_exec_duration_us", "up"
    }  # fmt: skip


def test_nothing_is_recorded_that_no_alert_asks_for_but_what_panels_show():
    for_panels = {
        "detector_backend:detector_requests:rate5m", "detector_backend_code:detector_attempts:rate5m",
        "model:nv_inference_batch_size:mean5m",
    }  # fmt: skip
    asked = {rule["record"] for rule in recorded_for(rule["expr"] for rule in ALERTS.values())}
    assert RECORDED.keys() - asked == for_panels


def families() -> dict[str, set[str]]:
    """Of our own two kinds of process: the names that a scrape shows, and the labels of each."""
    found: dict[str, set[str]] = {}
    for metrics in (Metrics(None), ServiceMetrics()):
        for one in metrics._registry._collector_to_names:
            labels = set(getattr(one, "_labelnames", ()))
            for name in metrics._registry._collector_to_names[one]:
                found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found
