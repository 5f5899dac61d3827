"""A real Prometheus on a free port of this machine, with a copy of our configuration, ended by the test that needs it.

with PrometheusServer(folder, configuration(targets={"backend": url}, rules=[…])).running() as prometheus:
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import ROOT
from tests.started_server import StartedServer

MONITORING = ROOT / "monitoring"
NEVER = "127.0.0.1:9"  # a job that this test has no target for

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="there is no prometheus here (Debian: apt-get install prometheus)",
)


@dataclass(frozen=True)
class Sample:
    labels: Mapping[str, str]
    value: float

    @property
    def name(self) -> str:
        """Of the alert, where it is one of ALERTS."""
        return self.labels.get("alertname", "")


class PrometheusServer(StartedServer):
    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        super().__init__(folder, "prometheus")
        self._file = folder / "prometheus.yml"
        self._file.write_text(yaml.safe_dump(dict(configuration), sort_keys=False))

    def words(self) -> list[str]:
        return [
            f"--config.file={self._file}", f"--web.listen-address={self.address}",
            f"--storage.tsdb.path={self._folder / 'tsdb'}", "--rules.alert.resend-delay=1s", "--log.level=warn",
        ]  # fmt: skip

    def query(self, expression: str) -> list[Sample]:
        """AssertionError where it is no expression."""
        answer = self._get("/api/v1/query", query=expression)
        assert answer["status"] == "success", f"{expression}: {answer}"
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "scalar":
            return [Sample({}, float(result[1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in result]

    def firing(self) -> list[Sample]:
        """The alerts of this moment, without those that are only pending."""
        alerts = self._get("/api/v1/alerts")["data"]["alerts"]
        return [Sample(one["labels"], float(one["value"])) for one in alerts if one["state"] == "firing"]

    def health_of_rules(self) -> dict[str, str]:
        """By its name, what the last evaluation of each rule complained of; empty where it did not."""
        groups = self._get("/api/v1/rules")["data"]["groups"]
        return {rule["name"]: rule.get("lastError", "") for group in groups for rule in group["rules"]}

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(path, params=query).json()
        return found


def configuration(
    targets: Mapping[str, Sequence[str]], rules: Sequence[Path], *, interval_s: float, alertmanager: str = ""
) -> dict[str, Any]:
    """`monitoring/prometheus.yml` with other addresses (host:port), rules and intervals; nothing else differs."""
    ours: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    interval = f"{round(interval_s * 1000)}ms"
    ours["global"] |= {
        "scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval
    }  # fmt: skip
    ours["rule_files"] = [str(path) for path in rules]
    known = {job["job_name"] for job in ours["scrape_configs"]}
    assert set(targets) <= known, f"no job of ours: {set(targets) - known}"
    ours["scrape_configs"] = [job for job in ours["scrape_configs"] if job["job_name"] in targets]
    for job in ours["scrape_configs"]:
        job["static_configs"] = [{"targets": list(targets[job["job_name"]])}]
    ours["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager or NEVER]}]}]}
    return ours
