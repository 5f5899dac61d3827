"""A detector that differs from ours in everything: a torch network of no weights that finds red and blue lamps.

It takes normalised floats of 320 x 180 pixels as `scene` and answers `lamps`: for each of its two classes the box
around all that shines in its colour, in the order x1, y1, x2, y2, class, confidence.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

WIDTH, HEIGHT = 320, 180
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHINES = 0.35  # by so much more than the two other colours together

SPEC = """
name = "lamps"
title = "Signal lamps"
input_name = "scene"
input_width = 320
input_height = 180
fit = "stretch"
input_type = "float32"
pixel_scale = 0.00392156862745098
pixel_mean = [0.485, 0.456, 0.406]
pixel_std = [0.229, 0.224, 0.225]
output_name = "lamps"
row = ["box", "class", "score"]
max_detections = 2
score_floor = 0.1
labels = ["stop lamp", "service lamp"]

[serving]
instances = 3
queue_delay_ms = 30
"""


class Lamps(nn.Module):
    def forward(self, scene: Tensor) -> Tensor:
        colours = scene * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)
        red, green, blue = colours[:, 0], colours[:, 1], colours[:, 2]
        return torch.stack((_row(red, green + blue, 0.0), _row(blue, red + green, 1.0)), dim=1)


def _row(colour: Tensor, others: Tensor, class_id: float) -> Tensor:
    """The confidence is how bright the brightest pixel is, so it tells a wrong normalisation."""
    shines = (colour - others > SHINES).float()
    x1, x2 = _ends(shines.amax(dim=1), WIDTH)
    y1, y2 = _ends(shines.amax(dim=2), HEIGHT)
    score = (colour * shines).amax(dim=(1, 2)).clamp(0.0, 1.0)
    return torch.stack((x1, y1, x2, y2, torch.full_like(score, class_id), score), dim=1)


def _ends(line: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Where it begins and where it ends; both 0 where there is nothing."""
    place = torch.arange(length, dtype=torch.float32)
    any_at_all = line.amax(dim=1)
    first = length - (line * (length - place)).amax(dim=1)
    return first * any_at_all, (line * (place + 1)).amax(dim=1)


def export(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Lamps(), (torch.zeros(1, 3, HEIGHT, WIDTH),), str(path), dynamo=False, opset_version=17,
            input_names=["scene"], output_names=["lamps"],
            dynamic_axes={"scene": {0: "n"}, "lamps": {0: "n"}},
        )  # fmt: skip
    return path
