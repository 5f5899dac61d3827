"""YOLO26 in torch. ultralytics (AGPL-3.0) is imported here and in the RT-DETR twin, not in what serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

from ai.engines import weights as weights_files
from ai.engines.torch_engine import TorchEngine
from ai.yolo26.processing import spec

PREFIX = "YOLO26_"  # of the environment variables
PORT = 8095
DEMO_WEIGHTS = Path(__file__).parent / "weights" / "demo.pt"
DEMO_ARCHITECTURE = "yolo26n.yaml"


def find_weights(weights: str) -> str:
    """What to hand to ultralytics; WeightsNotFound names the variable, its value and what is allowed."""
    return weights_files.source(weights, f"{PREFIX}WEIGHTS")


def load(weights: str = weights_files.DEMO, device: str = "auto") -> TorchEngine:
    return TorchEngine(load_module(weights), spec(), device)


def load_module(weights: str = weights_files.DEMO) -> nn.Module:
    """The bare network in inference form, with its NMS-free head on."""
    if weights == weights_files.DEMO:
        module: Any = weights_files.load_state(build_demo(), DEMO_WEIGHTS)
    else:
        module = YOLO(find_weights(weights)).model
    module.end2end = True  # ultralytics leaves it off, and the one-to-many head would answer without a word
    ready: nn.Module = module.float().eval().fuse(verbose=False)
    return ready


def build_demo() -> DetectionModel:
    """The untrained network that the demo weights belong to."""
    return DetectionModel(DEMO_ARCHITECTURE, nc=len(spec().labels), verbose=False)
