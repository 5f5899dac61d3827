"""Small networks of the usual families, as ultralytics saves and exports them: no weights of anybody's are needed."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from ultralytics import RTDETR, YOLO
from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

import ai.rtdetr

SIDE = 192
NAMES = {0: "Fork_Lift", 1: "pallet", 2: "human"}
LABELS = ("fork lift", "pallet", "person")
FAMILIES = ("yolov8n", "yolo11n", "yolov10n", "yolo26n", "rtdetr_s")


def network(family: str, names: dict[int, str] = NAMES, channels: int = 3):
    """Random weights, but a detector's ways: some tens of boxes, which depend on the picture."""
    torch.manual_seed(7)
    if family == "rtdetr_s":
        demo = Path(ai.rtdetr.__file__).with_name("demo.yaml")
        found = RTDETRDetectionModel(str(demo), nc=len(names), ch=channels, verbose=False)
    else:
        found = DetectionModel(f"{family}.yaml", nc=len(names), ch=channels, verbose=False)
    found.names = names
    _wake(found, channels)
    return found.eval()


def _wake(found, channels: int) -> None:
    """Random weights let a picture fade away on its way; batch statistics of real ones bring it back."""
    for part in found.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        found.train()(torch.rand(4, channels, SIDE, SIDE))
        head = found.model[-1]
        for name in ("cv3", "one2one_cv3"):
            for scores in getattr(head, name, None) or ():
                torch.nn.init.normal_(scores[-1].weight, std=0.06)
                torch.nn.init.constant_(scores[-1].bias, -5.0)
        for scores in getattr(head, "dec_score_head", ()):
            torch.nn.init.normal_(scores.weight, std=0.08)
            torch.nn.init.constant_(scores.bias, -4.5)


def checkpoint(path: Path, family: str, **different) -> Path:
    """A file as ultralytics' own training leaves it."""
    torch.save({"model": network(family, **different), "train_args": {"imgsz": SIDE}, "epoch": -1}, path)
    return path


def exported(file: Path, **options) -> Path:
    """What ultralytics makes of a checkpoint; `nms=False` asks for the NMS-free head where there is one."""
    model = (RTDETR if "rtdetr" in file.name else YOLO)(str(file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every shape that it freezes
        return Path(model.export(format="onnx", simplify=False, verbose=False, **options))
