"""What the suite of the processor makes of its windows, and who takes part in it; without a server."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ai.triton import repository
from ai.triton.repository import Options
from benchmarks.comparison import Alone, Arrangement, Comparison, Cost, Settings, Window
from benchmarks.comparison_text import as_text
from benchmarks.cpu.page import figures
from benchmarks.cpu.tracks import Place, pairs_of, sizes_of, tracks_of
from benchmarks.kserve import Counted
from benchmarks.load.by_client import Order, shares
from benchmarks.load.measurement import Measurement
from benchmarks.machine import this_machine
from benchmarks.medians import arranged_of, ratios_between, rows_of, stages_of
from benchmarks.meter import Cores
from benchmarks.pictures import Size, draw_pictures
from benchmarks.processes import Program
from benchmarks.variants import VARIANTS
from tests.tiny import tiny_source

REFUSED = "int8 in int8 is not kept: mAP differs by 0.0162, and --max-loss is 0.01"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A repository as `build_variants` leaves it where int8 was refused and there is no second head."""
    folder = tmp_path_factory.mktemp("cpu")
    source, models = tiny_source(folder), folder / "models"
    kept = [VARIANTS[name] for name in ("unbatched", "f32", "scaled")]
    for one in kept:
        options = Options(decode=one.decode, also=("tensors", "tiers") if one.name == "f32" else ())
        repository.build(models, {one.name: source}, options, lambda _: None)
    program = Program("any", lambda _: [])
    return Place(
        program, replace(program, name="triton"), models, kept, draw_pictures(Size(64, 64), folder), 1.0, 0.5,
        draw_pictures(Size(256, 128), folder), replace(program, name="scaled"),
    )  # fmt: skip


def test_every_track_that_was_built_takes_part(place: Place) -> None:
    names = [track.side.name for track in tracks_of(place)]
    assert names == [
        "legacy", "unbatched", "f32", "f32-grpc", "f32-http", "f32-streaming", "f32-batch", "f32-C",
        "legacy-large", "f32-large", "legacy-scaled", "scaled-large", "nothing",
    ]  # fmt: skip


def test_targets_are_about_encoded_pictures_as_the_backend_asks(place: Place) -> None:
    """Not about a twin without batching, another tier or track, or other pictures."""
    assert [track.side.name for track in tracks_of(place) if track.about.get("target")] == ["f32"]


def test_each_side_is_held_against_what_differs_in_one_thing(place: Place) -> None:
    pairs = pairs_of(tracks_of(place))
    assert ("f32", "unbatched") in pairs
    assert ("f32-grpc", "f32-http") in pairs
    assert ("scaled-large", "legacy-scaled") in pairs, "legacy has the same decoder"
    assert ("scaled-large", "f32-large") in pairs
    assert ("scaled-large", "legacy") not in pairs, "that one was sent other pictures"


def test_only_what_the_plain_generator_sent_has_its_ceiling(place: Place) -> None:
    other = sizes_of(place, tracks_of(place))
    assert set(other) == {
        "f32-grpc", "f32-http", "f32-C", "legacy-large", "f32-large", "legacy-scaled", "scaled-large"
    }  # fmt: skip
    assert other["f32-grpc"][0] == "64x64"
    assert other["f32-large"][0] == "256x128"


def test_callers_are_split_over_processes_and_one_reads_the_clocks() -> None:
    pictures = tuple(Path(name) for name in "abc")
    parts = shares(Order("127.0.0.1:1", "grpc", "f32", pictures, 5, 1.0, 1.0, (42,)), 2)
    assert [part.callers for part in parts] == [3, 2]
    assert [part.server_pids for part in parts] == [(42,), ()]
    assert [str(part.pictures[0]) for part in parts] == ["a", "b"], "not all begin with the same one"
    assert len(shares(replace(parts[0], callers=1), 4)) == 1


def test_parts_of_a_request_are_those_of_the_window() -> None:
    """Of its own requests, not of all since the start."""
    before = Counted(10, 5, {"queue": 1_000_000.0, "model": 500_000.0})
    after = Counted(30, 10, {"queue": 1_200_000.0, "model": 1_500_000.0})
    assert before.split_ms_until(after) == {"queue": 10.0, "model": 50.0}
    assert after.split_ms_until(after) == {}


def window(number: int, side: str, rps: float, split_ms: dict[str, float] | None = None) -> Window:
    run = Measurement(
        callers=8, seconds=1.0, sent=50, answered=40, rps=rps, p50_ms=100.0, p95_ms=800 / rps, p99_ms=1.0,
        split_ms={}, cores=Cores(1.5, 0.01, 0.02), busy=0, errors={},
    )  # fmt: skip
    return Window(number, side, 8, run, None, split_ms or {})


@pytest.fixture
def report() -> Comparison:
    served = {"engine": "openvino", "precision": "f32", "title": "D: OpenVINO f32", "target": True}
    taken = [
        one
        for number, speed in enumerate((1.0, 3.0, 2.0))
        for one in (
            window(number, "legacy", 10 * speed),
            window(number, "f32", 60 * speed, {"queue": 5.0 * speed, "model": 20.0}),
            window(number, "f32-C", 30 * speed),
            window(number, "nothing", 1000 * speed),
        )
    ]
    costs = [Cost("openvino f32", stage, ms) for stage, ms in
             {"decode": 1.0, "fit": 0.5, "infer": 18.0, "finish": 0.5}.items()]  # fmt: skip
    ways = [Arrangement("f32", "first", 4, 40.0, 30.0), Arrangement("f32", "other", 4, 50.0, 24.0)]
    slow = [replace(one, images_per_s=one.images_per_s / 2) for one in ways]
    return Comparison(
        schema_version=1, suite="cpu", name="yolo26", date="2026-12-01T00:00:00+00:00", commit=None,
        machine=this_machine(), settings=Settings((8,), "64x64", 1.0, 0.5, 0.5, 3, 30.0, 8, 90),
        server={}, objects={}, loops=(),
        sides={"f32": served, "f32-C": {**served, "title": "C: OpenVINO f32", "target": False}},
        rows=rows_of(taken, "64x64", 900, {"f32-C": ("64x64", 900)}),
        ratios=ratios_between(taken, [("f32", "legacy"), ("f32-C", "legacy"), ("f32", "f32-gone")]),
        parity={"int8": {"kept": False, "words": REFUSED}},
        stages=stages_of([costs, costs]),
        arranged=arranged_of([one.arrangements for one in (Alone([], (), ways), Alone([], (), slow))]),
    )  # fmt: skip


def test_what_was_refused_is_shown_with_its_figure_and_has_no_row(report: Comparison) -> None:
    text = figures(json.loads(json.dumps(asdict(report))))
    assert f"- REFUSED, so not measured: int8: {REFUSED}" in text
    assert "| D: OpenVINO f32 | 8 |" in text
    assert "int8 |" not in text


def test_a_target_is_said_of_the_sides_that_it_is_about(report: Comparison) -> None:
    text = as_text(report)
    assert "\nMET: yolo26, D: OpenVINO f32 at 8 callers: 6.00 x legacy's requests/s; wanted ≥ 5 x" in text
    assert "C: OpenVINO f32 at 8 callers" not in text
    assert {(one.side, one.against) for one in report.ratios} == {("f32", "legacy"), ("f32-C", "legacy")}


def test_an_arrangement_is_held_against_the_first_of_its_round(report: Comparison) -> None:
    """The machine was twice as fast in one of them."""
    first, other = report.arranged
    assert (first.ratio.min, first.ratio.max) == (1.0, 1.0)
    assert (other.ratio.min, other.ratio.max) == pytest.approx((1.25, 1.25))
    assert (other.images_per_s.min, other.images_per_s.max) == (25.0, 50.0)


def test_what_is_the_servers_own_is_what_the_stages_are_not(report: Comparison) -> None:
    """1.5 cores for 120 requests/s are 12.5 ms a picture; the stages without a server take 20."""
    [row] = [line.split() for line in as_text(report).splitlines() if line.strip().startswith("openvino f32")]
    assert row[-7:] == ["1.00", "0.50", "18.00", "0.50", "20.00", "12.50", "-7.50"]


def test_parts_inside_triton_are_medians_of_the_rounds(report: Comparison) -> None:
    assert report.row("f32", 8).split_ms == {"queue": 10.0, "model": 20.0}
    assert report.row("legacy", 8).split_ms == {}
    [row] = [line.split() for line in as_text(report).splitlines() if "f32" in line and " 70.00" in line]
    assert row[-6:] == ["10.00", "-", "-", "20.00", "-", "70.00"], "p50 less what is known"
