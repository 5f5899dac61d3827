"""The quick rows of the fault table, and of one that without its defence it fails. `make chaos` runs them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.chaos.row import FAMILIES, Row
from tests.chaos.running import Houses, run, run_all
from tests.chaos.table import ROWS

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

QUICK = [row for row in ROWS if row.quick]


@pytest.fixture(scope="module")
def houses() -> Iterator[Houses]:
    with closing(Houses()) as houses:
        yield houses


@pytest.mark.parametrize("row", QUICK, ids=[row.name for row in QUICK])
def test_a_caller_never_pays(row: Row, houses: Houses) -> None:
    result = run(row, houses.of(row))
    if row.ruins or result.wrong:
        houses.close()
    assert not result.wrong, result.figures


def test_without_its_defence_a_row_fails() -> None:
    row = next(row for row in QUICK if row.without.variables.get("FALLBACK") == "none")
    (result,) = run_all([row], undefended=True)
    assert result.passed, f"{row.name} does not need {row.without.defence}"
    assert row.without.fails in result.wrong


def test_every_row_has_a_name_of_its_own_a_family_and_a_promise() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.family for row in ROWS} == set(FAMILIES)
    assert all(row.promise and row.without.defence for row in ROWS)


def test_every_family_has_a_quick_row() -> None:
    assert {row.family for row in QUICK} == set(FAMILIES)
