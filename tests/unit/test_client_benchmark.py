"""The client's benchmark measures what it says: its servers answer, its ratios are made within a round."""

from __future__ import annotations

import asyncio
import json

import pytest

from benchmarks import client as benchmark
from benchmarks.client import Sides
from benchmarks.client_report import CLIENT, OFFICIAL, STUB, Report, Settings, Window, as_text, save
from benchmarks.machine import this_machine
from benchmarks.progress import Progress

pytestmark = pytest.mark.alone

SETTINGS = Settings(callers=(2,), seconds=0.1, rounds=2)


@pytest.fixture(scope="module")
def url():
    with benchmark.instant_server() as url:
        yield url


async def test_every_side_gets_the_same_answer(url):
    sides = Sides(url)
    calls = sides.calls(b"picture")
    stub, client, official = [await calls[side]() for side in (STUB, CLIENT, OFFICIAL)]
    assert len(stub.raw_output_contents[0]) == 300 * 6 * 4
    assert [round(found.score, 2) for found in client.detections][:3] == [0.95, 0.90, 0.85]
    assert (official[0][0, :8, 4] > 0.5).all()
    await sides.close()


async def test_a_window_counts_calls_and_their_time():
    async def call() -> None:
        await asyncio.sleep(0.01)

    seen = await benchmark.window(call, callers=4, seconds=0.2)
    assert 100 < seen.calls_per_s < 400
    assert 0 < seen.cpu_us < 10_000


def test_a_ratio_is_that_of_one_round():
    """The machine halved its pace in the second round; the client was at nine tenths in both."""
    rounds = [
        {STUB: Window(1000, 100), CLIENT: Window(900, 110)},
        {STUB: Window(500, 200), CLIENT: Window(450, 220)},
    ]
    cell = benchmark._cell("instant", 1, 2, CLIENT, rounds)
    assert cell.ratio is not None
    assert (cell.ratio.min, cell.ratio.max) == pytest.approx((0.9, 0.9))
    assert cell.cpu_ratio is not None
    assert cell.cpu_ratio.median == pytest.approx(1.1)
    assert benchmark._cell("instant", 1, 2, STUB, rounds).ratio is None


def test_the_turns_begin_with_another_side_each_round():
    calls = dict.fromkeys((STUB, CLIENT, OFFICIAL))
    assert [side for side, _ in benchmark._turned(calls, 0)] == [STUB, CLIENT, OFFICIAL]
    assert [side for side, _ in benchmark._turned(calls, 1)] == [OFFICIAL, CLIENT, STUB]


async def test_a_run_becomes_a_file_and_a_table(url, tmp_path):
    cells = await benchmark.measure("instant", url, SETTINGS, Progress(2))
    report = Report(1, "client-overhead", "now", None, this_machine(), SETTINGS, 0.9, tuple(cells))
    figures, table = save(report, tmp_path)
    assert json.loads(figures.read_text())["cells"][1]["side"] == CLIENT
    assert (
        f"TritonClient reaches {report.judged:.1%} of the bare stub's calls/s at 2 callers"
        in table.read_text()
    )
    assert len(as_text(report).splitlines()) == 5 + 2 * 3 + 2
