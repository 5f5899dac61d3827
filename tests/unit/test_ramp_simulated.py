"""Whole ramps in a drawn world: a healthy Triton earns everything, an ill one does not get a quarter.

The short form of `python -m benchmarks.ramp_simulation`, with fixed seeds: the same runs each time.
"""

from __future__ import annotations

import math

import pytest

from backend.settings import Settings
from benchmarks.ramp_simulation import HEALTHY, WORLDS, World, simulated

HEALTHY_RUNS = 100
ILL_RUNS = 10
SPELL = 5  # a look for five of the benchmark's: a fifth of the time
ALPHA = Settings.model_fields["ramp_rollback_alpha"].default
BY_NAME = {world.name: world for world in WORLDS}


def most_by_chance(runs: int, alpha: float, doubt: float = 0.001) -> int:
    """So many false rollbacks are not too many for alpha; more happen once in a thousand times."""
    below = 0.0
    for number in range(runs + 1):
        below += math.comb(runs, number) * alpha**number * (1 - alpha) ** (runs - number)
        if below >= 1 - doubt:
            return number
    return runs


def test_a_healthy_triton_earns_everything() -> None:
    runs = simulated(HEALTHY, HEALTHY_RUNS, spell=SPELL)
    back = [run for run in runs if run.rolled_back]
    assert len(back) <= most_by_chance(HEALTHY_RUNS, ALPHA), back
    assert all(run.earned and run.highest == 1.0 for run in runs if run not in back)


@pytest.mark.parametrize(
    "name", ["2 % disagree", "5 % disagree", "0.5 % errors", "1 % errors", "every call fails", "30 % slower"]
)
def test_an_ill_one_never_gets_a_quarter(name: str) -> None:
    runs = simulated(BY_NAME[name], ILL_RUNS, spell=SPELL)
    assert [run.highest for run in runs] == [0.1] * ILL_RUNS
    assert all(run.rolled_back for run in runs)


@pytest.mark.parametrize("name", ["5 % disagree from 75 % on", "1 % errors from 75 % on"])
def test_a_fault_that_comes_late_is_found_too(name: str) -> None:
    assert all(run.rolled_back for run in simulated(BY_NAME[name], 5, spell=SPELL))


def test_a_fault_that_comes_while_it_is_watched_is_found_too() -> None:
    """The last promotion is not the end: its own counts, and nothing that was earned before, speak for Triton."""
    broken = World("broken when it has everything", errors=0.02, from_step=4)
    assert all(run.rolled_back for run in simulated(broken, 5, spell=SPELL))


def test_these_tests_can_fail() -> None:
    """Where 5 % errors are allowed, 1 % stop nothing: it is the bound that stops them above."""
    runs = simulated(BY_NAME["1 % errors"], 3, spell=SPELL, ramp_errors=0.05)
    assert all(run.earned for run in runs)
