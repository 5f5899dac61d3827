"""The batch's benchmark compares within a round, times what it says, and its result can be read again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ai.core.sample import sample_jpeg
from benchmarks.batch import Bench, write_pictures
from benchmarks.batch_report import Live, Report, Round, Settings, as_text
from benchmarks.live_caller import LiveCaller
from benchmarks.machine import this_machine
from tests.batches import scripted

pytestmark = pytest.mark.alone

SETTINGS = Settings("yolo26", "96x64", 10, 2, (8, 32), 32)
START_S, PICTURE_S = 0.9, 0.05


def of_round(batch: float, detect: float, *triton: float) -> Round:
    rates = {f"triton x {number}": rate for number, rate in enumerate(triton)}
    live = {name: Live(50, 0, 20.0, 30.0) for name in ("alone", "batch", "fixed")}
    return Round({"batch": batch, "detect": detect, **rates}, live)


def test_ratios_are_of_one_round_and_the_ceiling_is_tritons_best(tmp_path: Path) -> None:
    """A machine that is twice as slow in one round is so for all: the ratio stays."""
    rounds = (of_round(40, 20, 45, 50), of_round(20, 10, 25, 20), of_round(90, 30, 80, 100))
    report = Report(1, "batch-cpu", "2026-01-01", None, this_machine(), SETTINGS, 32_000, rounds)
    assert report.spread(lambda one: one.over_detect).median == 2
    assert report.spread(lambda one: one.of_ceiling).median == 0.8
    report.save(tmp_path / "out.json")
    assert Report.read(tmp_path / "out.json") == report
    text = as_text(report)
    assert "0.80 (0.80..0.90)" in text
    assert report.machine.cpu in text


class Timed(Bench):
    """Its commands really run, and are said to have taken so long."""

    def _seconds(self, words: Sequence[str], folder: Path) -> float:
        super()._seconds(words, folder)
        return START_S + PICTURE_S * len(list(Path(words[1]).iterdir()))


def test_every_name_is_asked_for_and_the_start_is_no_part_of_the_rate(tmp_path: Path) -> None:
    write_pictures(SETTINGS, tmp_path)
    with scripted(took_s=0) as (url, script):
        bench = Timed(url, "", tmp_path, SETTINGS.pictures)
        assert bench.batch() == pytest.approx(1 / PICTURE_S)
        assert len(script.seen) == 8
        assert sum(script.seen.values()) == SETTINGS.pictures + 1


def test_a_live_caller_asks_in_its_own_time_and_counts_what_it_was_refused() -> None:
    with scripted(took_s=0.01) as (url, script):
        with LiveCaller(url, sample_jpeg()) as caller:
            while sum(script.statuses.values()) < 3:
                time.sleep(0.01)
            script.places = 0
            while script.statuses[503] < 2:
                time.sleep(0.01)
        seen = caller.seen
    assert seen.calls >= 5
    assert seen.errors >= 2
    assert seen.p95_ms >= seen.p50_ms > 0
