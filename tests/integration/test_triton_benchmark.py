"""The whole comparison, with a detector of a few bytes behind a real Triton and nothing behind the legacy side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from ai.triton.building.source import Source
from benchmarks import build_variants, loops, triton
from benchmarks.comparison import Comparison, Pace, Settings
from benchmarks.comparison_text import as_text
from benchmarks.machine import this_machine
from benchmarks.processes import ROOT, do_nothing
from benchmarks.variants import VARIANTS
from tests.tiny import tiny_source

SETTINGS = Settings(
    callers=(1, 8), size="128x72", seconds=1.2, loop_seconds=0.1, ceiling_seconds=0.2, rounds=1, timeout_s=10.0,
    pictures=8, jpeg_quality=90,
)  # fmt: skip


def bench(folder: Path) -> triton.Bench:
    source: Source = tiny_source(folder)

    def run_loops(versions: Sequence[Path], pictures: Sequence[Path], seconds: float) -> list[Pace]:
        return loops.paces(
            loops.pipelines_of(source, versions), [path.read_bytes() for path in pictures], seconds
        )

    return triton.Bench(
        legacy=replace(do_nothing(), name="stand-in"),
        variants=[VARIANTS["unbatched"], VARIANTS["f32"]],
        build=partial(build_variants.build, source),
        run_loops=run_loops,
    )


def left_behind(mark: str) -> list[str]:
    commands = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [command for command in commands if mark in command]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))  # so that its processes can be told from others'
        made = triton.measure(SETTINGS, bench(folder), "test", this_machine())
    assert not left_behind(str(folder))
    return made


def test_every_side_is_measured(report: Comparison) -> None:
    """Each at each number of callers, without an error, with its processor's time and the ceiling beside it."""
    measured = [(row.cell.service, row.cell.callers) for row in report.rows]
    assert measured == [
        (side, callers) for callers in (1, 8) for side in ("legacy", "unbatched", "f32", "nothing")
    ]  # fmt: skip
    assert report.errors == 0
    for row in report.rows:
        assert row.cell.rps.median > 0
        assert row.cell.service_cpu_cores is not None
        assert row.cell.ceiling_ratio is not None
    assert {one.side for one in report.ratios if one.against == "legacy"} == {"unbatched", "f32"}
    assert report.server["version"]
    assert "at 8 callers" in as_text(report)


def test_batches_are_seen_where_there_are_some(report: Comparison) -> None:
    """Eight callers share executions, unless batching is off."""
    batches = {(row.cell.service, row.cell.callers): row.batch for row in report.rows}
    together, alone = batches["f32", 8], batches["unbatched", 8]
    assert together is not None
    assert together.median > 1.2
    assert alone is not None
    assert alone.median == 1.0
    assert batches["legacy", 8] is None
    assert report.sides["f32"]["max_batch"] == 8
    assert report.sides["unbatched"]["max_batch"] == 1


def test_each_side_shows_what_it_finds(report: Comparison) -> None:
    """The tiny detector sees one cat in each of the eight pictures; the endpoint that does nothing says eight."""
    assert report.objects == {"legacy": 64, "nothing": 64, "unbatched": 8, "f32": 8}


def test_loops_run_what_triton_runs(report: Comparison) -> None:
    assert [(one.engine, one.batch) for one in report.loops] == [
        ("torch", 1), ("torch", 8), ("openvino f32", 1), ("openvino f32", 8)
    ]  # fmt: skip


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """In the middle of a window: no server, no Python process of a model, no generator, no folder is left."""
    script = f"""
import signal
from pathlib import Path
from benchmarks import triton
from benchmarks.machine import this_machine
from dataclasses import replace
from tests.integration.test_triton_benchmark import SETTINGS, bench
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it ignored
folder = Path({str(tmp_path)!r})
triton.measure(replace(SETTINGS, seconds=30.0), bench(folder), "test", this_machine())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if "warming up f32" in line:
                break
        assert any("tritonserver" in command for command in left_behind(str(tmp_path)))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=40)
    assert "KeyboardInterrupt" in said
    assert not left_behind(str(tmp_path))
    assert not list(tmp_path.glob("crossfade-bench-*"))
