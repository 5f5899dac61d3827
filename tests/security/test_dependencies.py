"""What is installed is what was pinned, under licences that were looked at; an audit that learnt nothing is no pass."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.security import audit
from tests.security.dependencies import (
    CONSTRAINTS,
    EVERY_EXTRA,
    FENCED,
    SERVING,
    Package,
    complaints,
    contradictions,
    packages,
    pins,
)

PROJECT = tomllib.loads((CONSTRAINTS.parent / "pyproject.toml").read_text())
GOOD = Package("good", "1.0", "MIT", "")


def test_every_package_is_pinned_from_the_index_and_under_a_known_licence() -> None:
    assert len(packages()) > 100
    assert list(complaints(packages(), pins(CONSTRAINTS.read_text()))) == []


def test_no_package_contradicts_another() -> None:
    assert contradictions() == ""


def test_every_extra_is_looked_at() -> None:
    assert set(PROJECT["project"]["optional-dependencies"]) == EVERY_EXTRA


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (Package("good", "1.1", "MIT", ""), "constraints.txt pins 1.0"),
        (Package("new", "1.0", "MIT", ""), "pins none"),
        (Package("good", "1.0", "GPL-3.0-only", ""), "GPL"),
        (Package("good", "1.0", "MIT AND LGPL-2.1", ""), "LGPL"),
        (Package("good", "1.0", "none", ""), "on no list"),
        (Package("good", "1.0", "MIT", "git+https://elsewhere"), "elsewhere"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(package: Package, words: str) -> None:
    (said,) = complaints([package], {"good": "1.0"})
    assert words in said


def test_a_build_of_the_same_version_and_a_choice_of_licences_are_fine() -> None:
    for package in (
        GOOD,
        Package("good", "1.0+cpu", "MIT", ""),
        Package("good", "1.0", "EPL-2.0 OR BSD-3-Clause", ""),
    ):
        assert list(complaints([package], {"good": "1.0"})) == []


def test_what_is_fenced_is_asked_for_and_never_by_what_serves() -> None:
    assert {one.name for one in packages() if not one.is_free} == FENCED.keys()
    assert {one.name for one in packages(SERVING)}.isdisjoint(FENCED)
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    assert any("AGPL" in one["name"] and one["forbidden_modules"] == ["ultralytics"] for one in contracts)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, audit.SOUND, "no known hole"),
        (
            {"dependencies": [{"name": "a", "skip_reason": "not found on PyPI"}]},
            audit.UNKNOWN,
            "cannot be reached",
        ),
        ({"dependencies": []}, audit.UNKNOWN, "cannot be reached"),
        (
            {
                "dependencies": [
                    {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
                ]
            },
            audit.HOLES,
            "a 1: PYSEC-1, mended in 2",
        ),
    ],
)
def test_an_answer_of_the_advisories_is_judged_by_what_was_looked_up(answer, status: int, words: str) -> None:
    verdict = audit.judged(json.dumps(answer))
    assert verdict.status == status
    (line,) = verdict.lines
    assert words in line


def test_a_service_that_fails_is_one_sentence_and_no_pass() -> None:
    verdict = audit.judged("Traceback (most recent call last):\n  File\nConnectionError: no route to host\n")
    assert verdict.status == audit.UNKNOWN
    assert list(verdict.lines) == [
        "no advisories: the advisory service cannot be reached: ConnectionError: no route to host"
    ]
