"""What an ultralytics checkpoint says of its network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ai.triton.building.facts import CannotDescribe, Facts, labels_of, size_of
from ai.yolo26.model import open_any


def open_network(file: Path) -> nn.Module:
    try:
        return open_any(file)
    except Exception as error:  # what ultralytics raises for a bad file is documented nowhere
        reason = str(error).strip().splitlines() or [""]
        raise CannotDescribe(
            f"{file.name} cannot be opened as an ultralytics checkpoint: {type(error).__name__}: {reason[0]}"
        ) from error


def facts(network: Any) -> Facts:
    head = network.model[-1]
    stride = int(max(network.stride))
    width, height = (_up_to(stride, side) for side in size_of(dict(network.args).get("imgsz", 640)))
    return Facts(
        task=str(network.task),
        names=_labels(network, head),
        width=width,
        height=height,
        head=type(head).__name__,
        channels=int(network.yaml.get("channels", 3)),
        each_object_once=bool(getattr(head, "end2end", False)),
    )


def _labels(network: Any, head: Any) -> tuple[str, ...]:
    labels = labels_of(network.names)
    if getattr(head, "nc", len(labels)) != len(labels):
        raise CannotDescribe(f"the file names {len(labels)} classes, its network knows {head.nc}")
    return labels


def _up_to(stride: int, side: int) -> int:
    """ultralytics trains with the next whole number of strides."""
    return -(-side // stride) * stride
