"""What of the GPU's benchmark needs no GPU."""

from pathlib import Path

import pytest
import torch

from ai.engines.torch_engine import DetectorModule
from ai.yolo26 import model
from benchmarks.gpu import bare
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
