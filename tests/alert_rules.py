"""What stands in monitoring/: the alerts, what is recorded for them and their tests; and promtool, asked about them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alert_mutants import Rule

MONITORING = Path(__file__).parents[1] / "monitoring"
AT_ONCE = 2

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="there is no promtool here (Debian: apt-get install prometheus)",
)


def rules_in(path: Path) -> list[Rule]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERT_FILES = sorted((MONITORING / "alerts").glob("*.yml"))
TEST_FILES = sorted((MONITORING / "tests").glob("*.test.yml"))
ALERTS: Mapping[str, Rule] = {rule["alert"]: rule for path in ALERT_FILES for rule in rules_in(path)}
RECORDED: Mapping[str, Rule] = {rule["record"]: rule for rule in rules_in(MONITORING / "recording.yml")}
TESTS: Mapping[str, dict[str, Any]] = {path.name: yaml.safe_load(path.read_text()) for path in TEST_FILES}


def severities_of(rule: Rule) -> set[str]:
    """All that it may have: one, or those that a template chooses from."""
    return set(re.findall(r"\b(page|ticket|info|none)\b", rule["labels"]["severity"])) or {"unknown"}


def names_in(expression: str) -> set[str]:
    """The metrics and recorded figures that it asks for."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", "{}", bare)
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\[[^\]]*\]", " ", bare)
    words = re.findall(r"(?<![\w.])[A-Za-z_][\w:]*(?![\w:])(?!\s*\()", bare)
    return {word for word in words if word not in {"and", "or", "unless", "bool", "Inf", "NaN", "by", "on"}}


def recorded_for(expressions: Iterable[str]) -> list[Rule]:
    """What has to be recorded for them, in the order of recording.yml."""
    needed: set[str] = set()
    waiting = [*expressions]
    while waiting:
        new = (names_in(waiting.pop()) & RECORDED.keys()) - needed
        needed |= new
        waiting += [RECORDED[name]["expr"] for name in new]
    return [rule for name, rule in RECORDED.items() if name in needed]


def checks_of(alert: str) -> list[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]]:
    """Each group that asks of it: its file, itself, and what it asks."""
    return [
        (file, group, checks)
        for file in TESTS.values() for group in file["tests"]
        if (checks := [one for one in group.get("alert_rule_test", ()) if one["alertname"] == alert])
    ]  # fmt: skip


def trial_of(alert: str, rules: Sequence[Rule], folder: Path) -> list[Path]:
    """Test files that ask of each of `rules`, of whatever name, what ours ask of the alert."""
    stem = folder / f"{alert}.rules.yml"
    recorded = recorded_for(rule["expr"] for rule in rules)
    groups = [{"name": "recorded", "rules": recorded}] if recorded else []
    stem.write_text(yaml.safe_dump({"groups": [*groups, {"name": "tried", "rules": list(rules)}]}))
    written: dict[str, list[dict[str, Any]]] = {}
    for file, group, checks in checks_of(alert):
        asked = [check | {"alertname": rule["alert"]} for rule in rules for check in checks]
        tried = {name: group[name] for name in ("name", "interval", "input_series") if name in group}
        written.setdefault(file["evaluation_interval"], []).append(tried | {"alert_rule_test": asked})
    return [
        _written(folder / f"{alert}.{interval}.test.yml", stem, interval, [one["name"] for one in groups], tests)
        for interval, tests in written.items()
    ]  # fmt: skip


def _written(path: Path, rules: Path, interval: str, before: list[str], tests: list[dict[str, Any]]) -> Path:
    path.write_text(yaml.safe_dump({
        "rule_files": [str(rules)], "evaluation_interval": interval, "group_eval_order": [*before, "tried"],
        "tests": tests,
    }))  # fmt: skip
    return path


def failed_in(paths: Sequence[Path]) -> tuple[set[str], str]:
    """The alerts of which some test failed, and what promtool said."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        said = "".join(threads.map(promtool_test, [paths[start::AT_ONCE] for start in range(AT_ONCE)]))
    return set(re.findall(r"alertname: (\w+),", said)), said


def promtool_test(paths: Sequence[Path]) -> str:
    return promtool("test", "rules", *map(str, paths))[1] if paths else ""


def promtool(*words: str) -> tuple[int, str]:
    environment = {**os.environ, "GOGC": "400"}  # it collects garbage for a fifth of its time otherwise
    done = subprocess.run(
        ["promtool", *words], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr
