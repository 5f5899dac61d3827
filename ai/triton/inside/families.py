"""The networks that the engine `torch` can run. Without anything that only building needs: a stub imports this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from ai.core.spec import DetectorSpec
from ai.engines.detector import TorchDetector
from ai.engines.weights import DEMO
from ai.rtdetr import model as rtdetr
from ai.yolo26 import model as yolo26

FAMILIES: dict[str, Callable[[], TorchDetector]] = {
    "rtdetr": rtdetr.detector,
    "yolo26": yolo26.detector,
    "yolo26_raw": yolo26.raw_detector,
}

ANY = "ultralytics"  # a checkpoint of theirs that was added, whatever its family


def load_network(family: str, head: DetectorSpec, weights: Path | None) -> nn.Module:
    """The bare network that `head` describes, from a file, or from the family's demo weights."""
    if family == ANY and weights is not None:
        return yolo26.open_any(weights)
    detector = replace(FAMILIES[family](), head=head)
    return detector.load_module(DEMO if weights is None else str(weights))
