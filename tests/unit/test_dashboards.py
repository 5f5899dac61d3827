"""Dashboards say what they show, ask only for what exists and in words that Prometheus understands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ai.serving.metrics import ServiceMetrics
from backend.observe.metrics import Metrics
from backend.settings import Settings
from monitoring import dashboards
from monitoring.board import GRAFANA, NOTES, Board
from monitoring.boards.gpu import GPU
from monitoring.panels import DATASOURCE, RUNBOOK, Panel

ROOT = Path(__file__).parents[2]
RULES = ROOT / "monitoring"
PROVISIONED = RULES / "grafana" / "provisioning"
EVERYWHERE = {"job", "instance"}  # what Prometheus adds to every sample
OF_PROMETHEUS = {
    "up": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity", "component", "detector"},
}
OF_GPUS = {
    name: {"gpu"} for name in ("gpu_memory_used_bytes", "gpu_memory_total_bytes", "gpu_utilization_ratio")
}
WORDS = {
    "and",
    "or",
    "unless",
    "by",
    "on",
    "bool",
    "offset",
    "e6",
}  # of PromQL, without a parenthesis of their own

panels = pytest.mark.parametrize(
    "panel", [pytest.param(p, id=f"{b.name}: {p.title}") for b in dashboards.BOARDS for p in b.panels]
)
boards = pytest.mark.parametrize("board", dashboards.BOARDS, ids=lambda board: board.name)


def asked() -> Iterator[str]:
    """Every expression of every panel and annotation, its variables replaced as Grafana would."""
    for expression in (
        *(q for b in dashboards.BOARDS for p in b.panels for q in p.queries.values()),
        *(n.promql for n in NOTES),
    ):
        yield plain(expression)


def plain(expression: str) -> str:
    for variable, value in {
        "$__rate_interval": "1m",
        "$__range": "3h",
        "$detector": "(rtdetr|yolo26)",
        "$instance": ".*",
    }.items():
        expression = expression.replace(variable, value)
    return expression


@cache
def exported() -> Mapping[str, set[str]]:
    """Each sample's name, of the backend, the legacy services, Triton and Prometheus, with its labels."""
    ours = dict(_of_registry(Metrics(None)._registry)) | dict(_of_registry(ServiceMetrics()._registry))
    golden = (ROOT / "tests/golden/triton_metrics.txt").read_text()
    triton = {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(golden)
        for sample in family.samples
    }
    return ours | triton | OF_GPUS | OF_PROMETHEUS


def _of_registry(registry: Any) -> Iterator[tuple[str, set[str]]]:
    for name, collector in registry._names_to_collectors.items():
        labels = set(getattr(collector, "_labelnames", ()))
        yield name, labels | ({"le"} if name.endswith("_bucket") else set())


@cache
def recorded() -> Mapping[str, str]:
    groups = yaml.safe_load((RULES / "recording.yml").read_text())["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


@cache
def alerts() -> Mapping[str, dict[str, Any]]:
    files = [yaml.safe_load(path.read_text()) for path in sorted((RULES / "alerts").glob("*.yml"))]
    return {rule["alert"]: rule for file in files for group in file["groups"] for rule in group["rules"]}


def bare(expression: str) -> str:
    """Without quoted words, matchers, windows and lists of labels."""
    expression = re.sub(r'"[^"]*"', "", expression)
    expression = re.sub(r"\{[^{}]*\}|\[[^\]]*\]", "", expression)
    return re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", " ", expression)


def names(expression: str) -> set[str]:
    """Of the metrics, not of the functions."""
    return set(re.findall(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()", bare(expression))) - WORDS


def labels_of(name: str) -> set[str]:
    """A rule's name begins with the labels that it keeps; the GPUs' rules keep them all."""
    if name in exported():
        return exported()[name] | EVERYWHERE
    level = name.partition(":")[0]
    kept = {"slo": set(), "fleet": set(), "gpu": EVERYWHERE | {"gpu", "gpu_uuid"}}
    return kept.get(level, set(level.split("_")))


def grouped(expression: str) -> set[str]:
    lists = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", re.sub(r'"[^"]*"', "", expression))
    return {label.strip() for each in lists for label in each.split(",")}


def test_files_are_as_the_script_makes_them() -> None:
    assert dashboards.outdated() == []


def test_a_file_that_was_edited_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboards, "FOLDER", tmp_path)
    dashboards.write()
    assert dashboards.outdated() == []
    (tmp_path / "gpu.json").write_text("{}")
    (tmp_path / "stranger.json").write_text("{}")
    assert [path.name for path in dashboards.outdated()] == ["gpu.json", "stranger.json"]


@boards
def test_what_grafana_needs_of_a_panel_is_there_and_panels_fill_the_width_without_overlap(
    board: Board,
) -> None:
    made = json.loads((dashboards.FOLDER / f"{board.name}.json").read_text())
    numbers = [panel["id"] for panel in made["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        if panel["type"] != "row":
            assert all((panel["title"], panel["description"], panel["fieldConfig"]["defaults"]["unit"]))
            assert {json.dumps(each["datasource"]) for each in (panel, *panel["targets"])} == {
                json.dumps(DATASOURCE)
            }
            assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[
                : len(panel["targets"])
            ]
    assert {x for x, _ in taken} == set(range(24))
    assert len(taken) == 24 * len({y for _, y in taken})


def test_addresses_are_unique_and_links_lead_to_them() -> None:
    made = [json.loads(text) for text in dashboards.texts().values()]
    addresses = {board["uid"] for board in made}
    assert len(addresses) == len(made) == 4
    for board in made:
        local = [link["url"] for link in board["links"] if link["url"].startswith("/d/")]
        assert {url[3:].partition("?")[0] for url in local} == addresses - {board["uid"]}
        assert board["links"][-1]["url"] == RUNBOOK
        assert {each["name"] for each in board["templating"]["list"]} == {"detector", "instance"}


@boards
def test_titles_are_told_apart(board: Board) -> None:
    titles = [panel.title for panel in board.panels]
    assert len(titles) == len(set(titles))


@panels
def test_a_description_is_sentences_that_say_how_to_read_it(panel: Panel) -> None:
    assert not panel.says[0].islower()
    assert panel.says.endswith(".")
    assert len(panel.says) > 40 or panel.empty_when


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="there is no promtool here (Debian: apt-get install prometheus)"
)
def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{number}", "expr": each} for number, each in enumerate(asked())]
    file = tmp_path / "asked.yml"
    file.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    command = ["promtool", "check", "rules", str(file)]
    checked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout
    assert len(rules) > 60


def test_no_variable_is_left_when_grafana_has_replaced_its_own() -> None:
    assert [each for each in asked() if "$" in each] == []


@panels
def test_only_metrics_and_rules_that_exist_are_asked_for(panel: Panel) -> None:
    for expression in panel.queries.values():
        found = names(plain(expression))
        assert found
        assert found <= exported().keys() | recorded().keys()


@panels
def test_labels_that_are_matched_grouped_or_shown_exist(panel: Panel) -> None:
    for legend, expression in panel.queries.items():
        asked_of = plain(expression)
        for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^{}]*)\}", asked_of):
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= labels_of(name)
        known = set.union(*(labels_of(name) for name in names(asked_of)))
        assert grouped(asked_of) <= known
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= (grouped(asked_of) or known)


def test_a_metric_that_triton_never_had_would_be_noticed() -> None:
    source = 'histogram_quantile(0.95, rate(nv_inference_exec_duration_us{model="x"}[5m])) > 200'
    assert names(source) - exported().keys() == {"nv_inference_exec_duration_us"}


def test_annotations_ask_for_what_exists() -> None:
    for note in NOTES:
        assert names(note.promql) <= exported().keys()
        assert grouped(note.promql) <= set.union(*map(labels_of, names(note.promql)))


@panels
def test_sections_of_the_runbook_are_those_of_alerts(panel: Panel) -> None:
    for alert in panel.alerts:
        assert alert in alerts()
        assert alerts()[alert]["annotations"]["runbook_url"] == f"{RUNBOOK}#{alert.lower()}"


@panels
def test_a_line_is_drawn_where_an_alert_fires(panel: Panel) -> None:
    limits = {value for value, _ in panel.steps if value}
    fires_at = {
        float(n) for alert in panel.alerts for n in re.findall(r"[<>]=?\s*([\d.]+)", alerts()[alert]["expr"])
    }
    if limits and fires_at - {0}:
        assert limits & fires_at


def test_no_line_of_the_ramps_is_drawn_through_a_figure_with_legacys_own_unsteadiness_in_it() -> None:
    [panel] = [
        panel for board in dashboards.BOARDS for panel in board.panels if panel.title == "Disagreement"
    ]
    asked_for = set(Settings.model_fields["ramp_disagreement"].default)
    drawn = {value for value, _ in panel.steps[1:]}
    assert drawn
    assert not drawn & asked_for


@pytest.mark.parametrize("panel", GPU.panels, ids=lambda panel: panel.title)
def test_a_machine_without_a_gpu_is_told_why_a_panel_is_empty(panel: Panel) -> None:
    assert "without an NVIDIA GPU" in panel.says


def test_a_share_has_an_end_and_one_of_gpus_is_no_percentage() -> None:
    shares = [
        p for b in dashboards.BOARDS for p in b.panels if p.unit == "percentunit" and p.kind == "timeseries"
    ]
    assert {panel.most for panel in shares} <= {1, None}
    assert "percent" not in {panel.unit for board in dashboards.BOARDS for panel in board.panels}


def test_grafana_is_told_of_the_datasource_that_the_dashboards_name_and_of_the_pace_it_is_scraped_at() -> (
    None
):
    [source] = yaml.safe_load((PROVISIONED / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == DATASOURCE
    scraped = yaml.safe_load((RULES / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


def test_compose_runs_the_grafana_that_this_was_written_for_and_mounts_what_it_reads() -> None:
    [provider] = yaml.safe_load((PROVISIONED / "dashboards" / "crossfade.yml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.prod.yml").read_text())["services"]["grafana"]
    mounted = {volume["target"]: volume["source"] for volume in grafana["volumes"]}
    assert grafana["image"] == f"grafana/grafana:{GRAFANA}"
    assert ROOT / mounted["/etc/grafana/provisioning"] == PROVISIONED
    assert ROOT / mounted[provider["options"]["path"]] == dashboards.FOLDER
