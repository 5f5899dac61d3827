"""What of the GPU's benchmark needs no GPU."""

import json
import time
from pathlib import Path

import pytest
import torch

from ai.engines.torch_engine import DetectorModule
from ai.yolo26 import model
from benchmarks.comparison import Comparison, Settings, Window
from benchmarks.gpu import bare
from benchmarks.gpu.meter import metered
from benchmarks.gpu.networks import NETWORKS, write_untrained
from benchmarks.gpu.page import as_text, figures
from benchmarks.gpu.plot import draw
from benchmarks.gpu.report import Bare, GpuReport, Rate
from benchmarks.gpu.variants import MAIN
from benchmarks.loadgen import Measurement
from benchmarks.machine import this_machine
from benchmarks.medians import ratios_between, rows_of
from benchmarks.meter import Cores


def test_an_untrained_network_is_taken_as_weights_and_costs_what_the_trained_one_costs(
    tmp_path: Path,
) -> None:
    checkpoint = tmp_path / "untrained.pt"
    model.write_untrained("yolo26n.yaml", checkpoint)
    detector = model.detector()
    untrained, trained = (
        bare.flops_of(DetectorModule(detector.load_module(weights), detector.head), 640)
        for weights in (str(checkpoint), "demo")
    )
    assert untrained == trained
    assert 4e9 < trained < 8e9  # ultralytics says 5.4 GFLOP


def test_what_has_demo_weights_is_measured_with_them(tmp_path: Path) -> None:
    assert NETWORKS["yolo26n"].variable(tmp_path) == "YOLO26_WEIGHTS=demo"
    with pytest.raises(ValueError, match="demo weights"):
        write_untrained(NETWORKS["yolo26n"], tmp_path / "x.pt")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(SystemExit, match="sees no GPU"):
        bare.main(["yolo26", "--pictures", "a.jpg"])


TIMES = {"legacy": 1.0, MAIN: 9.0, "off": 6.0, "grpc": 8.0, "nothing": 500.0}


def measurement(rps: float, callers: int) -> Measurement:
    p50_ms = callers / rps * 1000
    return Measurement(
        callers=callers, seconds=1.0, sent=50, answered=40, rps=rps, p50_ms=p50_ms, p95_ms=2 * p50_ms,
        p99_ms=3 * p50_ms, split_ms={}, cores=Cores(1.5, 0.01, 0.02), busy=0, errors={},
    )  # fmt: skip


@pytest.fixture
def report() -> GpuReport:
    """D is nine times as quick as A, and does 0.75 of what the bare network does."""
    windows = [
        Window(0, side, callers, measurement(100 * times, callers), None, beside={
            "busy_percent": 50.0, "watts": 450.0, "held_mib": 9000.0})
        for side, times in TIMES.items()
        for callers in (1, 8, 64)
    ]  # fmt: skip
    served = Comparison(
        schema_version=1, suite="gpu", name="test", date="2026-12-01T00:00:00+00:00", commit="0123456789abcdef",
        machine=this_machine(), settings=Settings((1, 8, 64), "1280x720", 1.0, 0.0, 0.5, 1, 30.0, 8, 90), server={},
        sides={
            side: {"title": f"the side {side}", "track": "A" if side == "legacy" else "D", "target": False}
            for side in TIMES
        },
        objects=dict.fromkeys(TIMES, 20), rows=rows_of(windows, "1280x720", 90_000),
        ratios=ratios_between(windows, [(side, "legacy") for side in (MAIN, "off", "grpc")]), loops=(),
    )  # fmt: skip
    rates = (Rate("eager", 1, 90.0), Rate("compiled", 32, 1200.0), Rate("decode", 32, 9000.0))
    return GpuReport(
        1, "yolo26m", Bare("H200", 68e9, 680e12, rates, {32: {"decode": 110.0, "fit": 40.0}}), served
    )


def test_the_targets_are_held_against_what_was_measured(report: GpuReport) -> None:
    assert [(round(one.measured, 3), one.met) for one in report.targets()] == [
        (0.111, True), (9.0, True), (9.0, True), (0.111, True), (0.75, False),
    ]  # fmt: skip
    assert report.bare.network == Rate("compiled", 32, 1200.0)  # a decoder is no network
    assert report.bare.roofline == 10_000


def test_a_kept_result_becomes_the_same_page_and_a_plot(report: GpuReport, tmp_path: Path) -> None:
    file = tmp_path / "gpu-test-yolo26m.json"
    report.save(file)
    page = figures(json.loads(file.read_text()))
    assert "- MET: yolo26m, 8 callers: D has 9.00 x A's requests/s; wanted ≥ 5 x" in page
    assert (
        "- NOT MET: yolo26m, D answers 0.75 of what the bare network does at its best; wanted ≥ 0.8" in page
    )
    assert f"| the side {MAIN} | 64 | 900.0 | 50.0 | 450.0 | 0.500 | 9000.0 |" in page  # joules per picture
    assert "| 32 | - | 1200.0 | 9000.0 |" in page
    assert "| 32 | 110.0 | 40.0 |" in page
    assert "NOT MET: yolo26m" in as_text(report)
    assert [path.suffix for path in draw(report, file) if path.stat().st_size > 10_000] == [".png", ".svg"]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script for `nvidia-smi`: a busy moment and an idle one in turns, and a card that does not know."""
    script = tmp_path / "nvidia-smi"
    script.write_text(
        '#!/bin/sh\nprintf \'%s\\n\' "$@" > "$0.asked"\n'
        "while :; do echo '100, 600.5, 9000'; echo '[N/A], [N/A], [N/A]'; echo '50, 300.5, 8000'; sleep 0.05; done\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return script


def test_a_gpu_is_read_beside_a_window_and_left_in_peace_after_it(driver: Path) -> None:
    with metered() as meter:
        began_ns = time.perf_counter_ns()
        while len(meter.readings) < 8:
            time.sleep(0.01)
        load = meter.between(began_ns, time.perf_counter_ns())
    read = len(meter.readings)
    assert load is not None
    assert 50 < load.busy_percent < 100
    assert 300.5 < load.watts < 600.5
    assert load.held_mib == 9000
    asked = driver.with_suffix(".asked").read_text().split()
    assert "--query-gpu=utilization.gpu,power.draw,memory.used" in asked
    time.sleep(0.2)
    assert len(meter.readings) == read
    assert meter.between(0, 1) is None


@pytest.mark.parametrize(("shown", "read"), [(None, "0"), ("", "0"), ("1", "1"), (" GPU-1f , 2", "GPU-1f")])
def test_the_gpu_that_is_read_is_the_one_that_cuda_shows(
    driver: Path, monkeypatch: pytest.MonkeyPatch, shown: str | None, read: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    with metered():
        pass
    assert f"--id={read}" in driver.with_suffix(".asked").read_text().split()


def test_a_machine_names_the_gpus_that_cuda_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver tells all of them, whatever CUDA is told; this one says what it was asked for."""
    script = tmp_path / "nvidia-smi"
    script.write_text('#!/bin/sh\necho "asked: $*"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 3")
    assert this_machine().gpus[0].endswith("--id=1,3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "--id" not in this_machine().gpus[0]


def test_without_a_driver_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with metered() as meter:
        assert meter.between(0, time.perf_counter_ns()) is None
