"""The page on reliability says what the runs' files say, and nothing where there is no run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs.making import reliability, soaked

SOAK: dict[str, Any] = {
    "at": "2026-01-02T03:04:05+00:00", "machine": {"cores": 2, "processor": "Z80"}, "lasted_s": 7200, "per_s": 40.5,
    "capacity_per_s": {"triton": 400.0, "legacy": 81.0}, "warm_at_s": 1080,
    "requests": {"answered": 291_600, "failed": 1, "took_ms": {"p50": 15.0, "p95": 30.0, "p99": 80.0, "p100": 1900.5}},
    "verdict": [
        {"kind": "answered", "holds": False, "words": "1 of 291600 requests failed", "figures": {}},
        {"kind": "memory", "holds": True, "words": "+1 MiB", "figures": {"by_process": {"worker 1": 1.5}}},
    ],
    "faults": [
        {"fault": "Triton is killed", "took_s": took_s, "wrong": wrong}
        for took_s, wrong in ((2.0, ""), (4.0, ""), (9.0, "not over"))
    ],
}  # fmt: skip


def row(name: str, **more: Any) -> dict[str, Any]:
    return {
        "row": name, "family": "network", "promise": "a caller never pays", "defence": "the breaker", "passed": True,
        "wrong": {}, "took_s": 9.0, "served": {"triton": 1200, "legacy": 34}, "statuses": {"200": 1234, "503": 2},
        "longest_ms": 870, "recovery_s": 1.25, "attempts": 3, **more,
    }  # fmt: skip


def run_of(*rows: dict[str, Any]) -> dict[str, Any]:
    machine = {"cores": 2, "processor": "Z80"}
    return {"at": "2026-01-02", "machine": machine, "took_s": 900, "passed": 1, "rows": list(rows)}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reliability, "RESULTS", tmp_path)
    return tmp_path


def test_without_a_run_the_page_says_how_to_make_one(results: Path) -> None:
    page = reliability.page()
    assert "`make chaos`, and the same `--without`, write it here" in page
    assert "No soak is kept yet" in page


def test_a_soak_is_told_with_what_did_not_hold() -> None:
    words, verdict, faults = soaked.parts(SOAK)
    assert "120 minutes at 40.5 requests/s" in words
    assert "291,600 requests, 1 failed" in words
    assert "| answered | **does not hold** | 1 of 291600 requests failed |" in verdict
    assert "worker 1 +1.5" in verdict
    assert "| Triton is killed; **not over** | 3 | 4.0 | 9.0 |" in faults


def test_a_row_stands_with_its_figures_its_defence_and_what_failed_without_it(results: Path) -> None:
    (results / "chaos.json").write_text(json.dumps(run_of(row("cut"), row("worse", passed=False))))
    undefended = run_of(row("cut", wrong={"answered": ["7 failed"]}), row("worse", passed=False))
    (results / "chaos-without.json").write_text(json.dumps(undefended))
    lines = reliability.page().splitlines()
    (cut,) = (line for line in lines if line.startswith("| cut |"))
    assert [cell.strip() for cell in cut.strip("|").split("|")] == [
        "cut", "a caller never pays; attempts: 3", "1,234 and 2 × 503", "1,200 / 34", "870", "1.2",
        "the breaker: answered",
    ]  # fmt: skip
    assert any(line.startswith("| **worse: failed** |") and "the breaker: nothing" in line for line in lines)
    assert any("1 of 2 failed, as they had to; not so: worse" in line for line in lines)
