"""A rule of safety that is set aside has its reason beside it; and what ruff's rules do not see, bandit's did once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("ai", "backend", "docs", "monitoring", "deploy")
_EXCEPTION = re.compile(r"#\s*noqa(?::\s*([A-Z0-9, ]+?))?(\s+-\s+\S.*)?$")
_RULES_OF_SAFETY = re.compile(r"\b(S\d+|BLE\d+)\b")


def exceptions() -> list[tuple[str, str, bool]]:
    """Place, rules, whether a reason stands there."""
    found = []
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if (one := _EXCEPTION.search(line)) is not None:
                    found.append((f"{path.relative_to(ROOT)}:{number}", one[1] or "all", bool(one[2])))
    return found


def test_no_rule_of_safety_is_set_aside_without_a_reason() -> None:
    ours = [one for one in exceptions() if one[1] == "all" or _RULES_OF_SAFETY.search(one[1])]
    assert len(ours) > 15
    assert [place for place, _, has_reason in ours if not has_reason] == []


def test_whole_folders_are_let_off_for_tests_and_benchmarks_alone() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert not any(rule.startswith("S") and not rule.startswith("SIM") for rule in lint["ignore"])
    let_off = {folder for folder, rules in lint["per-file-ignores"].items() if "S" in rules}
    assert let_off == {
        "tests/**",
        "benchmarks/**",
    }  # they assert, start programs, draw lots and listen on purpose
