"""What of the GPU's benchmark needs no GPU."""

import time
from pathlib import Path

import pytest
import torch

from ai.engines.torch_engine import DetectorModule
from ai.yolo26 import model
from benchmarks.gpu import bare
from benchmarks.gpu.meter import metered
from benchmarks.gpu.networks import NETWORKS, write_untrained


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


def test_without_a_driver_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with metered() as meter:
        assert meter.between(0, time.perf_counter_ns()) is None
