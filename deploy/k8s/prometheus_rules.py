"""Writes base/core/prometheus-rules.yaml out of monitoring/: the rules that promtool tests are those of the cluster.

Run it after a change of monitoring/recording.yml or monitoring/alerts; a test says when that was forgotten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
MONITORING = HERE.parents[1] / "monitoring"
RULES = HERE / "base" / "core" / "prometheus-rules.yaml"
LABELS = {"app.kubernetes.io/part-of": "crossfade"}  # and those by which your Prometheus picks rules up
HEAD = "# Made by deploy/k8s/prometheus_rules.py from monitoring/; change those files, and run it.\n"


def rule_files() -> list[Path]:
    return [MONITORING / "recording.yml", *sorted((MONITORING / "alerts").glob("*.yml"))]


def prometheus_rules() -> list[dict[str, Any]]:
    """An object for each file: the name of a group is unique in its file, and no further."""
    return [_rule(path.stem, yaml.safe_load(path.read_text())["groups"]) for path in rule_files()]


def _rule(name: str, groups: list[Any]) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"crossfade-{name}", "labels": dict(LABELS)},
        "spec": {"groups": groups},
    }


class _Dumper(yaml.SafeDumper):
    """Expressions of several lines stay lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def rendered() -> str:
    rules = yaml.dump_all(prometheus_rules(), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return HEAD + rules


if __name__ == "__main__":
    RULES.write_text(rendered())
