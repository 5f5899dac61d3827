"""Whoever is woken finds a section under the alert's name, and what stands there can be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.command_lines import commands_in, require_understood

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S))
ALERTS = {
    rule["alert"]: rule
    for file in sorted((ROOT / "monitoring" / "alerts").glob("*.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def test_every_alert_has_a_section_and_every_section_an_alert():
    assert set(SECTIONS) == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_its_link_leads_to_its_section_and_the_section_says_what_to_do(name):
    page, _, anchor = ALERTS[name]["annotations"]["runbook_url"].partition("#")
    assert page.endswith("/docs/runbook.md")
    assert anchor == name.lower()
    assert re.search(r"\*\*(Do|do|Do not roll back now)\b|what stands there", SECTIONS[name]), SECTIONS[name]


@pytest.mark.parametrize("command", commands_in(RUNBOOK))
def test_its_commands_are_understood(command):
    require_understood(command)


@pytest.mark.parametrize("page", sorted(set(re.findall(r"docs/[\w-]+\.md", RUNBOOK))))
def test_its_pages_are_there(page):
    assert (ROOT / page).is_file()
