"""The overhead suite measures what it says: memory against a control, no comparison unseen, targets as they are met."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from benchmarks.detect_cost import Part
from benchmarks.overhead import __main__ as overhead
from benchmarks.overhead import held, page, shadow_cost
from benchmarks.overhead.observers import SEVERAL
from benchmarks.overhead.report import DECISION, Report
from benchmarks.processes import ROOT
from benchmarks.report import Spread
from benchmarks.suite import told_by

pytestmark = pytest.mark.beside

RESULTS = ROOT / "benchmarks" / "results"


def told_here(command, longest_s, *variables) -> str:
    """As `told_by`, without the seconds that each import of the backend takes; what is decided at an import, and what
    counts this process's memory, still has a process of its own. What the tests hold is kept from the collector, which
    would otherwise go through it in the midst of what is measured."""
    module, *words = command
    if module == "benchmarks.overhead.held" or any("PROMETHEUS" in one for one in variables):
        return told_by(command, longest_s, *variables)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), left_uncollected():
        for variable in variables:
            patch.setenv(*variable.split("=", 1))
        importlib.import_module(module).main(words)
    return said.getvalue()


@contextlib.contextmanager
def left_uncollected() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def least(parts: Sequence[Part]) -> list[float]:
    """Of each the round that was disturbed least: at its smallest a run has three of a few milliseconds."""
    return [part.cpu_us.min for part in parts]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    """A real run, at its smallest."""
    out = tmp_path_factory.mktemp("overhead")
    settings, _ = overhead.settings_of(["--quick"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overhead, "told_by", told_here)
        (path,) = overhead.save(overhead.measure(settings), out)
    return Report.of(json.loads(path.read_text()))


def test_every_part_of_a_run_is_there(report) -> None:
    whole, *own = least(report.parts)
    assert whole > sum(own) > 0
    assert {part.name for part in report.observers} >= {"metrics", SEVERAL, "log line, JSON"}
    whole, *own = least(report.client)
    assert whole > own[0] + own[1] > 0
    assert {row.store for row in report.stores} >= {"SQLite"}
    assert all(row.wall_us.median > 0 for row in report.stores)


def test_every_request_that_was_chosen_is_compared_and_costs_more_than_one_that_was_not(report) -> None:
    none, some, every = report.shadow
    told = report.settings
    assert (none.compared, every.compared) == (0, told.shadow_rounds * told.shadow_calls)
    assert none.dropped == some.dropped == every.dropped == 0
    assert every.cpu_us.min > 2 * none.cpu_us.min


def test_a_request_holds_more_than_a_task_that_waits_and_leaves_next_to_nothing(report) -> None:
    found = report.held
    assert found.blocks > found.control_blocks > 1
    assert found.left_blocks < found.blocks / 10
    assert found.cyclic < 0.1
    assert any(place.file.startswith("backend/services/") for place in found.places)


async def test_what_a_request_kept_would_be_seen() -> None:
    """The control: a side that keeps five things of each request."""
    kept = []

    def keeping(gate: held.Gate) -> held.Made:
        ask = held.through_client(gate)

        async def one() -> object:
            kept.append([object() for _ in range(5)])
            return await ask()

        return one

    _, left = await held.blocks_of(keeping)
    assert left > 5


def test_a_target_is_met_or_not_and_neither_where_the_machine_was_disturbed(report) -> None:
    slow = Part(DECISION, Spread(5.2, 5.0, 6.0))
    quiet = replace(report, other_cores=0.0, parts=(report.parts[0], slow))
    assert "- NOT MET: flags.decide: 5.20 us of CPU a request; wanted ≤ 5" in page.as_text(quiet)
    assert "- UNDECIDED" in page.as_text(replace(quiet, other_cores=1.0))


def test_a_run_becomes_a_page(report) -> None:
    said = page.as_text(report)
    for part in (*report.parts, *report.observers, *report.client, *report.transports):
        assert f"| {part.name} |" in said
    assert "| 100% |" in said


def test_the_clients_own_result_is_held_against_tritonclients_client() -> None:
    said = page.client_figures(json.loads((RESULTS / "client-overhead.json").read_text()))
    assert "x the calls/s of tritonclient.grpc.aio; wanted ≥ 1 x" in said
    assert said.count("| tritonserver |") == 6


def test_the_backends_own_result_is_shown_with_its_targets() -> None:
    said = page.backend_figures(json.loads((RESULTS / "backend-overhead.json").read_text()))
    assert said.startswith("- ")
    assert "| backend + Triton | Triton | 32 |" in said


def test_a_window_of_the_shadow_holds_fewer_than_its_queue() -> None:
    assert shadow_cost.AT_ONCE <= 64
