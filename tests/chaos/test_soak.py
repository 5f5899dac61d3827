"""The soak in small, on the real stack: it finds nothing in a sound backend, and names what leaks in another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos import soak
from tests.chaos.planted_leaks import LEAKS
from tests.chaos.soak import Plan, Soak

pytestmark = [pytest.mark.timeout(400), pytest.mark.alone]

SMALL = Plan(
    minutes=0.45, seed=3, fault_every_s=12, sample_every_s=1, settling_s=1.5, most_per_s=15, measure_s=1.5
)
LEAKY = Plan(
    minutes=0.4, fault_every_s=60, sample_every_s=0.8, most_per_s=15, measure_s=1.5, leaks=tuple(LEAKS)
)


def wrong_in(found: Soak) -> dict[str, str]:
    return {one.kind: one.words for one in found.verdict() if not one.holds}


def test_under_faults_nobody_pays_and_nothing_grows(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    found = soak.run(SMALL, file)
    assert not wrong_in(found)
    assert len(found.suffered) >= 2
    kept = json.loads(file.read_text())
    assert kept["requests"]["answered"] == found.load.sent > 100
    assert [one["fault"] for one in kept["faults"]] == [one.name for one in found.suffered]


def test_a_backend_that_leaks_is_told_what_leaks() -> None:
    """One that leaks everything at once: each kind has to be named by itself."""
    found = soak.run(LEAKY)
    wrong = wrong_in(found)
    assert set(LEAKS) <= set(wrong), found.verdict()
    assert "wait" in wrong["tasks"]  # by the coroutine
    assert "detector_camera_seconds" in wrong["labels"]
