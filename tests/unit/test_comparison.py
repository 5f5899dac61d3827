from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ai.core.sample import sample_jpeg
from ai.triton.inside.pipeline import Pipeline
from benchmarks import kserve, loops
from benchmarks.comparison import Comparison, Pace, Settings, Window
from benchmarks.comparison_plot import draw
from benchmarks.comparison_text import as_markdown, as_text, short
from benchmarks.cpu import __main__ as cpu
from benchmarks.kserve import HEAD_BYTES, Counted
from benchmarks.loadgen import Measurement
from benchmarks.machine import this_machine
from benchmarks.medians import loops_of, ratios_of, rows_of
from benchmarks.meter import Cores
from benchmarks.processes import ROOT
from tests.tiny import SPEC, tiny_source

CALLERS = (1, 8)
PICTURE_SIZES = (1, 999, 31_000, 3_000_000)


def run(rps: float, p95_ms: float | None, callers: int) -> Measurement:
    return Measurement(
        callers=callers, seconds=1.0, sent=50, answered=40, rps=rps, p50_ms=p95_ms and p95_ms / 2, p95_ms=p95_ms,
        p99_ms=p95_ms, split_ms={}, cores=Cores(1.5, 0.01, 0.02), busy=0, errors={},
    )  # fmt: skip


def window(number: int, side: str, callers: int, rps: float, p95_ms: float | None) -> Window:
    batch = {"f32": float(callers), "unbatched": 1.0}.get(side)
    return Window(number, side, callers, run(rps, p95_ms, callers), batch)


SPEEDS = (1.0, 0.5, 2.0)  # of the machine in each round: it drifts
TIMES = {"legacy": 1.0, "unbatched": 4.0, "f32": 6.0, "bf16": 4.5, "nothing": 500.0}


def windows() -> list[Window]:
    return [
        window(number, side, callers, 10 * times * speed, 100 * callers / times / speed)
        for number, speed in enumerate(SPEEDS)
        for side, times in TIMES.items()
        for callers in CALLERS
    ]


PACES = {("torch", 1): 10.0, ("torch", 8): 8.0, ("openvino f32", 1): 40.0, ("openvino f32", 8): 50.0,
         ("openvino bf16", 1): 60.0, ("openvino bf16", 8): 90.0}  # fmt: skip


@pytest.fixture
def report() -> Comparison:
    served = {"engine": "openvino", "precision": "f32"}
    taken = windows()
    return Comparison(
        schema_version=1,
        suite="triton",
        name="test",
        date="2026-12-01T00:00:00+00:00",
        commit="0123456789abcdef0123-dirty",
        machine=this_machine(),
        settings=Settings(CALLERS, "640x360", 1.0, 0.5, 0.5, len(SPEEDS), 30.0, 8, 90),
        server={"name": "triton", "version": "2.51.0"},
        sides={"legacy": {}, "unbatched": served, "f32": served, "bf16": {**served, "precision": "bf16"}},
        objects=dict.fromkeys(TIMES, 27),
        rows=rows_of(taken, "640x360", 31_000),
        ratios=ratios_of(taken),
        loops=loops_of([[Pace(*turn, pace * speed) for turn, pace in PACES.items()] for speed in SPEEDS]),
    )


def test_ratios_are_made_within_a_round(report: Comparison) -> None:
    """The machine's drift, fourfold here, is in no ratio: both sides had it."""
    assert report.row("f32", 8).cell.rps.max == pytest.approx(4 * report.row("f32", 8).cell.rps.min)
    ratio = report.ratio("f32", 8)
    assert ratio is not None
    assert (ratio.rps.min, ratio.rps.median, ratio.rps.max) == pytest.approx((6.0, 6.0, 6.0))
    assert (ratio.p95.min, ratio.p95.max) == pytest.approx((1 / 6, 1 / 6))


def test_batching_is_compared_with_the_same_engine_without_it(report: Comparison) -> None:
    """On over off, beside both over legacy; the ceiling is no side."""
    ratio = report.ratio("f32", 8, against="unbatched")
    assert ratio is not None
    assert ratio.rps.median == pytest.approx(1.5)
    assert {one.side for one in report.ratios} == {"unbatched", "f32", "bf16"}


def test_a_side_that_answered_nothing_has_no_ratio(report: Comparison) -> None:
    """And the text says that there is no figure."""
    silent = [
        replace(one, run=replace(run(0.0, None, one.callers), answered=0))
        if (one.side, one.callers, one.round) == ("f32", 8, 1)
        else one
        for one in windows()
    ]
    assert ("f32", 8) not in {(one.side, one.callers) for one in ratios_of(silent)}
    assert ("f32", 1) in {(one.side, one.callers) for one in ratios_of(silent)}


def test_loops_are_compared_with_torch_of_their_round(report: Comparison) -> None:
    """One by one, as the legacy service works."""
    found = report.loop("openvino f32", 8)
    assert found is not None
    assert (found.ratio.min, found.ratio.max) == pytest.approx((5.0, 5.0))
    assert (found.images_per_s.min, found.images_per_s.max) == (25.0, 100.0)


def test_parts_multiply_to_the_whole(report: Comparison) -> None:
    """The engine's share, that of pictures side by side, and what is left, which is the servers'."""
    parts = {(one.side, one.callers): one for one in report.parts()}
    for one in parts.values():
        assert one.engine * one.side_by_side * one.rest == pytest.approx(one.total)
    both = parts["f32", 8]
    assert (both.engine, both.side_by_side, both.rest) == pytest.approx((4.0, 1.25, 1.2))
    assert parts["f32", 1].side_by_side == parts["unbatched", 8].side_by_side == 1.0
    assert parts["bf16", 8].engine == pytest.approx(6.0)


def test_targets_are_said_honestly(report: Comparison) -> None:
    """Met by one, missed by the other, and both in the text."""
    told = {(target.side, target.what): target.met for target in report.targets()}
    assert told == {
        ("f32", "requests/s"): True, ("f32", "p95"): True, ("bf16", "requests/s"): False, ("bf16", "p95"): False,
    }  # fmt: skip
    text = as_text(report)
    assert "NOT MET: yolo26, Triton, bf16 at 8 callers: 4.50 x legacy's requests/s; wanted ≥ 5 x" in text
    assert "\nMET: yolo26, Triton, f32 at 8 callers: 6.00 x legacy's requests/s; wanted ≥ 5 x" in text
    assert report.machine.title in text
    assert "0123456789ab-dirty" in text


def test_a_disturbed_machine_decides_nothing(report: Comparison) -> None:
    """Whose cores were shared, on either side, neither met nor missed a target."""
    cells = [
        replace(row.cell, other_cpu_cores=0.5) if row.cell.service == "f32" else row.cell
        for row in report.rows
    ]
    rows = tuple(replace(row, cell=cell) for row, cell in zip(report.rows, cells, strict=True))
    text = as_text(replace(report, rows=rows))
    assert "UNDECIDED, the machine was disturbed: yolo26, Triton, f32 at 8 callers: 6.00 x" in text
    assert "NOT MET: yolo26, Triton, bf16 at 8 callers" in text


def test_sides_that_find_different_things_are_flagged(report: Comparison) -> None:
    """Fast and wrong is not fast."""
    assert "FLAG" not in as_text(report)
    assert "FLAG: the same network" in as_text(replace(report, objects={**report.objects, "f32": 3}))


def test_it_round_trips_and_is_drawn(report: Comparison, tmp_path: Path) -> None:
    """What is saved is what is read, and both pictures are made from it, with other numbers of callers too."""
    path = tmp_path / "results" / "triton-test.json"
    report.save(path)
    assert Comparison.read(path) == report
    png, svg = draw(Comparison.read(path), path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "5 × legacy" in svg.read_text()
    one = replace(report, settings=replace(report.settings, callers=(1,)),
                  rows=tuple(row for row in report.rows if row.cell.callers == 1))  # fmt: skip
    assert "5 × legacy" not in draw(one, tmp_path / "one.json")[1].read_text()


def test_the_page_has_the_tables_and_the_verdicts(report: Comparison) -> None:
    """And nothing of what an older result did not measure."""
    text = as_markdown(report)
    assert "| Triton, f32 | legacy, torch | 8 | 6.00 (6.00..6.00) |" in text
    assert "- NOT MET: yolo26, Triton, bf16 at 8 callers" in text
    assert "threads and streams" not in text


def test_a_commit_is_short_and_keeps_its_stain() -> None:
    assert short("0123456789abcdef") == "0123456789ab"
    assert short("0123456789abcdef-dirty") == "0123456789ab-dirty"
    assert short(None) == "none yet"


@pytest.mark.parametrize("size", PICTURE_SIZES)
def test_one_header_line_holds_for_every_picture(size: int) -> None:
    """The head is filled up to one length; Triton reads the rest as the picture."""
    picture = b"\xff" * size
    body = kserve.body(picture)
    head = json.loads(body[:HEAD_BYTES])
    assert body[HEAD_BYTES:] == picture
    assert head["inputs"][0]["shape"] == [1, size]
    assert head["inputs"][0]["parameters"]["binary_data_size"] == size
    assert kserve.ask("a_jpeg").headers == (f"Inference-Header-Content-Length: {HEAD_BYTES}",)


METRICS = """\
# TYPE nv_inference_count counter
nv_inference_count{model="a_jpeg",version="1"} %d
nv_inference_count{model="b_jpeg",version="1"} 7
nv_inference_exec_count{model="a_jpeg",version="1"} %d
nv_inference_exec_count{model="a_jpeg",version="2"} 1
nv_inference_request_success{model="a_jpeg",version="1"} 99
"""


@contextmanager
def page_of(text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/metrics"
        thread.join()


def test_batches_are_what_triton_counted_meanwhile() -> None:
    """Of this model, over its versions; nothing executed is no batch size."""
    with page_of(METRICS % (10, 4)) as url:
        before = Counted.read(url, "a_jpeg")
    with page_of(METRICS % (30, 9)) as url:
        after = Counted.read(url, "a_jpeg")
    assert before == Counted(10, 5)
    assert before.batch_until(after) == 4.0
    assert after.batch_until(after) is None


def test_loops_take_turns_and_refuse_what_finds_nothing(tmp_path: Path) -> None:
    """Each engine one by one and in eights; an engine that fails is no pace."""
    pipeline = Pipeline(SPEC, tiny_source(tmp_path).reference(), 1)
    found = loops.paces({"torch": pipeline}, [sample_jpeg()], 0.1)
    assert [(pace.engine, pace.batch) for pace in found] == [("torch", 1), ("torch", 8)]
    assert all(pace.images_per_s > 1 for pace in found)
    with pytest.raises(loops.WrongAnswerError):
        loops.paces({"torch": pipeline}, [b"no picture"], 0.1)


def test_who_measures_does_not_import_ultralytics() -> None:
    """It would leave OMP_NUM_THREADS=1 in the environment, and the legacy service to one core."""
    script = "import os, benchmarks.cpu.__main__; print(os.environ.get('OMP_NUM_THREADS', 'as it was'))"
    without = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=without, capture_output=True, check=True
    )
    assert answer.stdout.decode().strip() == "as it was"


def test_quick_changes_defaults_only() -> None:
    """--quick is small and lies apart from the kept results, and what is said beside it wins."""
    quick = cpu.arguments_of(["--quick", "--rounds", "2"])
    assert (quick.callers, quick.rounds, quick.seconds, quick.name) == ([8], 2, 1.0, "quick")
    assert quick.out == ROOT / "var" / "benchmarks"
    assert cpu.arguments_of([]).out == ROOT / "benchmarks" / "results"


@pytest.mark.parametrize(
    "words",
    [["--rounds", "1000"], ["--callers", "0"], ["--variants", "f8"], ["--size", "8x8"], ["--large", "some"]],
)
def test_bounds(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be measured cannot be asked for."""
    with pytest.raises(SystemExit):
        cpu.arguments_of(words)
    assert words[1] in capsys.readouterr().err


def test_a_legacy_that_says_that_it_is_full_has_answered(report):
    """How much it holds is what is measured; a Triton that refuses has lost a request."""

    def with_busy(side: str) -> Comparison:
        rows = [
            replace(row, cell=replace(row.cell, busy=7)) if row.cell.service == side else row
            for row in report.rows
        ]
        return replace(report, rows=tuple(rows))

    assert report.errors == with_busy("legacy").errors == 0
    assert with_busy("f32").errors == 7 * len(CALLERS)
