"""A short random run of robust faults on the real stack, and its check: the whole of it once, in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.random_check import checked, told
from tests.chaos.random_faults import Plan, plan_of
from tests.chaos.random_record import Record
from tests.chaos.random_run import run

SEED = 889  # legacy refused, rolled back, a worker killed, given a share again, Triton killed
LASTS_S = 25.0


def plan() -> Plan:
    return plan_of(SEED, LASTS_S, robust=True)


@pytest.mark.timeout(240)
def test_a_random_run_breaks_no_promise(tmp_path: Path) -> None:
    run(plan(), tmp_path)
    record = Record.read(tmp_path)
    check = checked(record)
    assert not check.wrong, "\n".join(told(check, rule) for rule in check.wrong)
    assert not [deed for deed in record.deeds if "error" in deed.outcome and "status" not in deed.outcome]
    assert {one.side for one in record.asked if one.status == 200} == {"triton", "legacy"}
    assert any(one.fallback_reason for one in record.asked)
    assert [deed.name for deed in record.deeds if deed.track == "sides"]


def test_its_plan_breaks_a_side_kills_a_worker_and_rolls_back() -> None:
    names = {act.name for act in plan().acts}
    assert {"worker killed", "rollback"} <= names
    assert plan().of("sides")
