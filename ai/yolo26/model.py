"""YOLO26 in torch. ultralytics (AGPL-3.0) is imported here and in the RT-DETR twin, not in what serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

from ai.engines.detector import TorchDetector
from ai.engines.weights import WrongWeights
from ai.yolo26.processing import spec

DEMO_ARCHITECTURE = "yolo26n.yaml"
NMS_IOU = 0.7  # what ultralytics suppresses with


def detector() -> TorchDetector:
    return TorchDetector(
        head=spec(),
        prefix="YOLO26_",
        port=8095,
        demo_weights=Path(__file__).parent / "weights" / "demo.pt",
        build_demo=_build_demo,
        open_checkpoint=lambda weights: _without_nms(YOLO(weights).model),
    )


def raw_detector() -> TorchDetector:
    """The same weights with the one-to-many head, as YOLOv8 has it: whoever asks suppresses the doubles."""
    return replace(
        detector(),
        head=replace(
            spec(), name="yolo26_raw", layout="anchors", box_format="cxcywh-pixels", nms_iou=NMS_IOU
        ),
        build_demo=lambda: _one_to_many(
            DetectionModel(DEMO_ARCHITECTURE, nc=len(spec().labels), verbose=False)
        ),
        open_checkpoint=lambda weights: _one_to_many(YOLO(weights).model),
    )


def open_any(weights: Path) -> nn.Module:
    """The network of any checkpoint of ultralytics in inference form, NMS-free if it can be. Unpickling runs code."""
    network: Any = YOLO(str(weights)).model
    if getattr(network.model[-1], "one2one_cv2", None) is not None:
        network.end2end = True
    fused: nn.Module = network.float().eval().fuse(verbose=False)
    return fused


def write_untrained(architecture: str, checkpoint: Path) -> None:
    """Of any size, such as `yolo26m.yaml`: as quick as with its weights, and blind."""
    network = YOLO(architecture)
    network.model.names = dict(enumerate(spec().labels))
    network.save(checkpoint)


def _build_demo() -> nn.Module:
    return _without_nms(DetectionModel(DEMO_ARCHITECTURE, nc=len(spec().labels), verbose=False))


def _without_nms(network: Any) -> nn.Module:
    """ultralytics leaves the NMS-free head off, and the one-to-many head would answer without a word."""
    if getattr(network.model[-1], "one2one_cv2", None) is None:
        raise WrongWeights("these weights have no NMS-free head: they are not a YOLO26 (or YOLOv10) detector")
    network.end2end = True
    with_head: nn.Module = network
    return with_head


def _one_to_many(network: Any) -> nn.Module:
    network.end2end = False
    without_head: nn.Module = network
    return without_head
