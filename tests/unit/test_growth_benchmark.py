"""The growth suite says what its figures show: slopes, verdicts, the rule for requests in flight, and their page."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from benchmarks.comparison import CEILING, Window
from benchmarks.growth import batching_page, page
from benchmarks.growth.__main__ import measure, save, settings_of
from benchmarks.growth.batching import BATCHED, UNBATCHED, Batching, Crowd, rule_of
from benchmarks.growth.batching import Plan as BatchingPlan
from benchmarks.growth.report import Report
from benchmarks.growth.series import Point, Question, Series
from benchmarks.growth.sizing_page import sizing
from benchmarks.growth.slope import slope_of
from benchmarks.growth.timing import Plan, repeated
from benchmarks.loadgen import Measurement
from benchmarks.medians import ratios_of, rows_of
from benchmarks.meter import Cores
from benchmarks.report import Spread
from docs.making import scaling

pytestmark = pytest.mark.beside

QUESTION = Question("x", "callers", "Something", "callers", "µs of CPU a call", "constant")
SIZES = (1, 10, 100, 1_000, 10_000)


def costs(cost, noise: float = 0.02, sizes=SIZES) -> list[tuple[float, list[float]]]:
    chance = random.Random(1)
    return [(x, [cost(x) * chance.uniform(1 - noise, 1 + noise) for _ in range(5)]) for x in sizes]


class TestSlope:
    @pytest.mark.parametrize(
        ("cost", "verdict"),
        [
            (lambda _: 50.0, "constant"),
            (lambda x: 100 / (1 + x), "constant"),  # what gets cheaper is no growth
            (lambda x: 5 + x**0.5, "less than linear"),
            (lambda x: 3 * x, "linear"),
            (lambda x: 20 + 0.5 * x, "linear"),  # what is always there hides it below, not above
            (lambda x: x * x / 100, "worse than linear"),
        ],
    )
    def test_a_series_is_called_what_it_is(self, cost, verdict) -> None:
        assert slope_of(costs(cost)).verdict == verdict

    def test_the_exponent_lies_in_its_interval_and_one_more_costs_the_factor(self) -> None:
        slope = slope_of(costs(lambda x: 20 + 0.5 * x))
        assert slope.low < slope.exponent < slope.high
        assert slope.per_unit == pytest.approx(0.5, rel=0.05)
        assert slope.since == 100

    def test_rounds_that_lie_far_apart_say_nothing(self) -> None:
        assert slope_of(costs(lambda _: 50.0, noise=0.95)).verdict == "unclear"

    def test_nothing_of_something_has_no_logarithm_and_is_left_out(self) -> None:
        slope = slope_of(costs(lambda x: 2 + x, sizes=(0, *SIZES)))
        assert slope.verdict == "linear"
        assert slope.growth == pytest.approx(10_002 / 2, rel=0.1)

    def test_what_should_stay_and_grows_is_not_met(self) -> None:
        grows = Series.of(QUESTION, [Point(x, tuple(seen)) for x, seen in costs(lambda x: 3 * x)])
        assert grows.met is False
        assert Series.of(replace(QUESTION, expected="linear"), grows.points).met is True


def test_work_that_takes_ten_times_as_long_is_seen_to(tmp_path) -> None:
    """CPU time of this process: whatever else runs here."""

    def count(times: int) -> None:
        for _ in range(times):
            pass

    works = {size: repeated(lambda size=size: count(size)) for size in (1_000, 10_000, 100_000)}
    series = Plan(rounds=3, window_s=0.01).times(replace(QUESTION, expected="linear"), works)
    assert series.points[2].median > 30 * series.points[0].median
    assert all(len(point.rounds) == 3 for point in series.points)


# --- cameras before Triton --------------------------------------------------------------------------------


def measurement(callers: int, rps: float) -> Measurement:
    return Measurement(callers, 1.0, 100, 100, rps, 10.0, 20.0, 30.0, {}, Cores(1.9, 0.1, 0.0), 0, {})


def windows(rates: dict[int, tuple[float, float]]) -> list[Window]:
    """Of two rounds, the second at half the pace: callers → rates unbatched and batched."""
    return [
        Window(number, side, callers, measurement(callers, rate / (1 + number)), 1.0)
        for number in (0, 1)
        for callers, both in rates.items()
        for side, rate in zip((UNBATCHED.name, BATCHED.name, CEILING), (*both, 9_000), strict=True)
    ]


WINDOWS = windows({1: (50, 50), 4: (60, 120), 8: (60, 180), 16: (60, 199), 32: (60, 200)})
ABOUT = {"engine": "openvino", "max_batch": 8, "instances": 1}


def batching(about=ABOUT, seen=WINDOWS) -> Batching:
    crowd = Crowd(512, 20.0, 900.0, 4_000.0, 900, 3, 1_000, {'detector_shed_total{reason="pace"}': 900}, 0)
    plan = BatchingPlan((1, 4, 8, 16, 32), (512,), "640x360", 1.0, 1.0, 2)
    ratios = ratios_of(seen, [(BATCHED.name, UNBATCHED.name)])
    sides = {BATCHED.name: about, UNBATCHED.name: about}
    return Batching(plan, sides, rows_of(seen, "640x360", 50_000), ratios, rule_of(seen, about), (crowd,))


class TestRule:
    def test_twice_a_batch_is_held_against_the_highest_rate_of_its_round(self) -> None:
        rule = rule_of(WINDOWS, ABOUT)
        assert rule.in_flight == 16
        assert rule.share == Spread(*[pytest.approx(0.995)] * 3)
        assert rule.first_enough == 16

    def test_two_instances_want_twice_as_many(self) -> None:
        rule = rule_of(WINDOWS, {**ABOUT, "instances": 2})
        assert rule.in_flight == 32
        assert rule.share.median == 1.0


def test_the_page_says_what_batching_gained_and_whether_the_rule_holds() -> None:
    said = "\n".join(batching_page.batching_parts(batching()))
    assert "- NOT MET: 4 cameras: 2.00 x the frames/s with dynamic batching; wanted ≥ 2.5 x" in said
    assert "- MET: 8 cameras: 3.00 x the frames/s" in said
    assert "- MET: 16 requests in flight: 0.99 of the highest rate; wanted ≥ 0.95" in said
    assert (
        '| 512 | 20.0 | 900.0 | 4000.0 | 900 of 1,000 | 3 | `detector_shed_total{reason="pace"}` 900 |'
        in said
    )
    short = "\n".join(batching_page.batching_parts(batching({**ABOUT, "max_batch": 2})))
    assert "- NOT MET: 4 requests in flight: 0.60 of the highest rate" in short


def test_where_others_took_the_cores_neither_word_is_earned() -> None:
    taken = [replace(one, run=replace(one.run, cores=Cores(1.0, 0.1, 0.9))) for one in WINDOWS]
    said = "\n".join(batching_page.batching_parts(batching(seen=taken)))
    assert said.count("- UNDECIDED") == 3
    assert "DISTURBED" in said


# --- the whole --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A real run of what needs no server, at its smallest."""
    asked, _ = settings_of(["--quick", "--parts", "requests", "rows"])
    smallest = replace(
        asked, rounds=1, window_s=0.002, megapixels=(0.1, 0.2, 0.4), objects=(0, 2, 8), cameras=(1, 10, 50),
        rows=(100, 200, 400),
    )  # fmt: skip
    return save(measure(smallest), tmp_path_factory.mktemp("growth"))[0]


def test_a_run_is_kept_with_a_plot_for_each_axis_and_read_again(kept) -> None:
    report = Report.of(json.loads(kept.read_text()))
    by_axis = {one.question.axis for one in report.series}
    assert by_axis == {"picture", "objects", "cameras", "rows"}
    for axis in by_axis:
        assert all(
            kept.with_name(f"growth-quick-{axis}{kind}").stat().st_size > 5_000 for kind in (".png", ".svg")
        )
    names = [one.question.name for one in report.series]
    assert len(names) == len(set(names)) >= 20
    assert report.errors == 0


def test_the_page_has_a_row_for_each_series_and_a_word_on_each_that_grows_too_fast(kept) -> None:
    report = Report.of(json.loads(kept.read_text()))
    bad = Series.of(QUESTION, [Point(x, tuple(seen)) for x, seen in costs(lambda x: 3 * x)], other_cores=0.9)
    said = page.as_text(replace(report, series=(*report.series, bad), batching=batching()))
    assert all(one.question.title in said for one in report.series)
    assert "NOT MET: Something (by callers): linear; wanted constant" in said
    assert "DISTURBED: Something (by callers): other processes kept 0.90 cores busy" in said
    assert "### Requests in flight" in said
    assert page.figures(json.loads(kept.read_text())) == page.as_text(report)


def test_the_scaling_page_says_where_nothing_was_run_and_shows_what_was(kept, tmp_path) -> None:
    empty = scaling.page(tmp_path)
    assert empty.count("No run is kept yet") == 3
    report = Report.of(json.loads(kept.read_text()))
    replace(report, batching=batching()).save(tmp_path / "growth-cpu.json")
    (tmp_path / "growth-cpu-cameras.png").touch()
    shown = scaling.page(tmp_path)
    assert shown.count("No run is kept yet") == 1
    assert "![Cameras](../benchmarks/results/growth-cpu-cameras.png)" in shown
    assert "![Workers]" not in shown


def test_a_core_and_a_gpu_are_told_apart() -> None:
    machine = {"cpu": "A", "cores": 16, "gpus": ["NVIDIA H200, 143771 MiB, 580"]}
    rows = [
        {"detector": "yolo26", "engine": engine, "cameras": count}
        for engine, count in (("torch", 32), ("legacy", 4))
    ]
    said = sizing([{"machine": machine, "settings": {"fps": 5.0, "size": "1280x720"}, "rows": rows}])
    assert (
        "| NVIDIA H200, 16 cores (A) | yolo26 | torch | 32 x 5/s, 1280x720 | 160 | 10.0 | 160 | 8.0 x |"
        in said
    )


def test_only_what_is_asked_for_is_run_in_the_order_of_the_suite() -> None:
    settings, _ = settings_of(["--parts", "redis", "requests", "--quick"])
    assert settings.parts == ("requests", "redis")
