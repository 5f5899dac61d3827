"""The whole comparison, with a detector of a few bytes behind a real Triton and nothing behind the legacy side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from ai.triton.building.source import Source
from benchmarks import build_variants
from benchmarks.comparison import Alone, Comparison, Settings
from benchmarks.comparison_text import as_text
from benchmarks.cpu import __main__ as cpu
from benchmarks.cpu.alone import alone
from benchmarks.machine import this_machine
from benchmarks.processes import ROOT, do_nothing
from benchmarks.variants import VARIANTS, Variant
from tests.tiny import tiny_source

pytestmark = pytest.mark.beside

SETTINGS = Settings(
    callers=(8,), size="128x72", seconds=1.0, loop_seconds=0.05, ceiling_seconds=0.2, rounds=1, timeout_s=10.0,
    pictures=8, jpeg_quality=90,
)  # fmt: skip


BY_CLIENT = ("f32-grpc", "f32-http", "f32-C")  # asked by processes with TritonClient
SIDES = ("legacy", "unbatched", "f32", *BY_CLIENT, "nothing")


REFUSED = build_variants.Judged(False, "int8 is not kept: mAP differs by 0.5000, and --max-loss is 0.01")


def built(source: Source, variants: Sequence[Variant], models: Path) -> dict[str, dict[str, Any]]:
    """What the gate says of an int8 that loses too much is known from its own test."""
    allowed = [variant for variant in variants if not variant.gated]
    judged = {**build_variants.build(source, allowed, models), "int8": REFUSED}
    return {name: asdict(one) for name, one in judged.items()}


def bench(folder: Path) -> cpu.Bench:
    source: Source = tiny_source(folder)

    def run_alone(versions: Sequence[Path], pictures: Sequence[Path], seconds: float) -> Alone:
        return alone(source, versions, [path.read_bytes() for path in pictures], seconds)

    return cpu.Bench(
        detector="yolo26",
        legacy=replace(do_nothing(), name="stand-in"),
        legacy_scaled=None,
        variants=[VARIANTS["unbatched"], replace(VARIANTS["f32"], also=("tensors",)), VARIANTS["int8"]],
        build=partial(built, source),
        run_alone=run_alone,
    )


def left_behind(mark: str) -> list[str]:
    commands = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [command for command in commands if mark in command]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))  # so that its processes can be told from others'
        made = cpu.measure(SETTINGS, bench(folder), "test", this_machine())
    assert not left_behind(str(folder))
    return made


def test_every_side_is_measured(report: Comparison) -> None:
    """Each at each number of callers, without an error, with its processor's time and the ceiling beside it."""
    measured = [(row.cell.service, row.cell.callers) for row in report.rows]
    assert measured == [(side, 8) for side in SIDES]
    assert report.errors == 0
    for row in report.rows:
        assert row.cell.rps.median > 0
        assert row.cell.service_cpu_cores is not None
        assert (row.cell.ceiling_ratio is None) == (row.cell.service in BY_CLIENT)
    assert {one.side for one in report.ratios if one.against == "legacy"} == {"unbatched", "f32", *BY_CLIENT}
    assert report.server["version"]
    assert "at 8 callers" in as_text(report)


def test_what_parity_refuses_is_named_and_not_measured(report: Comparison) -> None:
    assert not any("int8" in row.cell.service for row in report.rows)
    assert f"REFUSED, so not measured: int8: {REFUSED.words}" in as_text(report)


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
    assert report.objects == {
        "legacy": 64,
        "nothing": 64,
        **dict.fromkeys(("unbatched", "f32", *BY_CLIENT), 8),
    }


def test_triton_says_where_its_requests_were(report: Comparison) -> None:
    """Of its own sides, in parts that fit into the latency; what legacy says stands in its own cell."""
    parts = {row.cell.service: row.split_ms for row in report.rows if row.cell.callers == 8}
    assert parts["legacy"] == parts["nothing"] == {}
    for side in ("unbatched", "f32", *BY_CLIENT):
        assert set(parts[side]) == {"queue", "input", "model", "output"}
        assert 0 < sum(parts[side].values()) < 2 * (report.row(side, 8).cell.p99_ms or 0.0)


def test_what_needs_no_server_is_measured_beside(report: Comparison) -> None:
    assert {one.stage for one in report.stages} == {"decode", "fit", "infer", "finish"}
    assert {one.engine for one in report.stages} == {"torch", "openvino f32"}
    assert all(one.cpu_ms.median > 0 for one in report.stages)
    used = [one for one in report.arranged if one.ratio.min == one.ratio.max == 1.0]
    assert {(one.precision, one.batch) for one in report.arranged} <= {
        (one.precision, one.batch) for one in used
    }


def test_loops_run_what_triton_runs(report: Comparison) -> None:
    assert [(one.engine, one.batch) for one in report.loops] == [
        ("torch", 1), ("torch", 8), ("openvino f32", 1), ("openvino f32", 8)
    ]  # fmt: skip


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """In the middle of a window: no server, no Python process of a model, no generator, no folder is left."""
    script = f"""
import signal
from pathlib import Path
from benchmarks.cpu import __main__ as cpu
from benchmarks.cpu import __main__ as cpu
from benchmarks.cpu.alone import alone
from benchmarks.machine import this_machine
from dataclasses import replace
from tests.integration.test_cpu_benchmark import SETTINGS, bench
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it ignored
folder = Path({str(tmp_path)!r})
cpu.measure(replace(SETTINGS, seconds=30.0), bench(folder), "test", this_machine())
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
