"""RT-DETR in torch. ultralytics (AGPL-3.0) is imported here and in the YOLO26 twin, not in what serves."""

from __future__ import annotations

from pathlib import Path

from torch import nn
from ultralytics import RTDETR
from ultralytics.nn.tasks import RTDETRDetectionModel

from ai.engines.detector import TorchDetector
from ai.rtdetr.processing import spec

DEMO_ARCHITECTURE = Path(__file__).with_name("demo.yaml")


def detector() -> TorchDetector:
    return TorchDetector(
        head=spec(),
        prefix="RTDETR_",
        port=8090,
        demo_weights=Path(__file__).parent / "weights" / "demo.pt",
        build_demo=_build_demo,
        open_checkpoint=lambda weights: RTDETR(weights).model,
    )


def write_untrained(architecture: str, checkpoint: Path) -> None:
    """Of any size, such as `rtdetr-l.yaml`: as quick as with its weights, and blind."""
    network = RTDETR(architecture)
    network.model.names = dict(enumerate(spec().labels))
    network.save(checkpoint)


def _build_demo() -> nn.Module:
    network: nn.Module = RTDETRDetectionModel(str(DEMO_ARCHITECTURE), nc=len(spec().labels), verbose=False)
    return network
