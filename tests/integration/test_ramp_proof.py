"""The proof, in short: over real sides a healthy Triton earns everything, and an ill one is found out by name.

With bounds that take few samples. `make proof` has nine faults and the bounds of every day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.faults import FAULTS, NEWER, OLDER
from tests.proof_stack import DETECTOR, Stack, proof_stack, ramped
from tests.traffic import Traffic, watched

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

FEW_SAMPLES = {
    "RAMP_STEPS": "0.1,1",
    "RAMP_DISAGREEMENT": "0.05",
    "RAMP_ERRORS": "0.15",
    "RAMP_SLOW": "0.15",
    "RAMP_HEADROOM": "0.2",  # legacy shares two cores with all the rest
    "DETECT_DEADLINE_S": "15",  # for the same reason: who is late by that is no caller that the ramp lost
    "RAMP_STEP_S": "0",
    "RAMP_STEP_SAMPLES": "20",
    "RAMP_BASELINE_TIMES": "59",
    "RAMP_LOOK_S": "0.2",
    "EVIDENCE_CAMERA_GAP_S": "0",
    "EVIDENCE_LATENCY_GAP_S": "0",
    "EVIDENCE_FLUSH_S": "0.2",
}
PER_S = 14.0  # at most: fewer where the cores have other work
SHADOW = 0.5  # each costs legacy another inference
BEFORE = 0.25  # an ill Triton never gets so much
TIMEOUT_S = 180.0  # some 50 where the cores have nothing else to do


@pytest.fixture(scope="module")
def stack(faulty_house) -> Iterator[Stack]:
    with proof_stack(faulty_house, **FEW_SAMPLES) as stack:
        yield stack


@pytest.fixture
def traffic(stack) -> Iterator[Traffic]:
    """Everything healthy, everything at legacy, and cameras that send."""
    stack.house.plant({})
    assert stack.backend.rollback().status_code == 200
    stack.backend.set(shadow=SHADOW, pins_suspended=False)
    with watched(stack.backend.url, PER_S) as traffic:
        yield traffic
    stack.backend.rollback()


def test_a_healthy_triton_earns_all_requests_by_itself(stack, traffic):
    before = stack.state["version"]
    run = ramped(stack, traffic, None, TIMEOUT_S)
    assert (run.phase, run.steps) == ("watching", (0.1, 0.98, 1.0)), run  # legacy keeps 2 % to the last
    steps = [change for change in stack.changes_since(before) if change["who"] == "ramp"]
    assert len(steps) == 3
    assert all(change["figures"] for change in steps)  # the history says what each step was earned by
    assert not run.lost
    assert run.served["triton"] > 50
    assert run.served["legacy"] > 50


def test_an_ill_triton_is_found_out_by_name_before_it_gets_a_quarter(stack, traffic):
    """Blind at night alone."""
    fault = FAULTS["infrared"]
    run = ramped(stack, traffic, fault, TIMEOUT_S)
    assert run.phase == "ended", run
    assert re.search(fault.named, run.named), run
    assert 0 < max(run.steps) < BEFORE
    assert stack.state["overrides"][DETECTOR] == 0.0
    assert not run.lost


def test_no_ramp_starts_without_a_certificate_unless_somebody_says_why(stack, traffic):
    """An older version serves than the one that was examined."""
    stack.house.serve(stack.triton, OLDER)
    try:
        refused = stack.order()
        assert refused.status_code == 409
        assert "certificate is for 2" in refused.json()["detail"]
        assert stack.order(force=True, reason="").status_code == 409
        started = stack.order(force=True, reason="the weights are as old as legacy's")
        assert started.status_code == 200
        assert stack.ramp["forced"] == "the weights are as old as legacy's"
        assert stack.order(action="abort").status_code == 200
    finally:
        stack.house.serve(stack.triton, NEWER)
    assert not traffic.lost
