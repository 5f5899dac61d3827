"""A detector as one torch module, uint8 pictures in and rows out, and the engine that runs it.

The module is what the legacy services run, what the exporters trace and what a Triton runs with the `torch`
engine; so normalisation and box format are said once, here, out of the network's spec. What the module itself
takes and answers is `spec.exported()`.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ai.core.detections import Rows
from ai.core.spec import DetectorSpec


class DetectorModule(nn.Module):
    """images uint8 [n, 3, height, width] → detections float32 [n, rows, 6] in pixels of the input.

    A network that answers all class scores (layout `anchors` or `queries`) passes through as it is."""

    scale: Tensor
    shift: Tensor
    to_pixels: Tensor

    def __init__(self, body: nn.Module, spec: DetectorSpec) -> None:
        super().__init__()
        self.body = body
        self.layout = spec.layout
        self.centres, self.unit = spec.box_format.startswith("cxcywh"), spec.box_format.endswith("unit")
        std = torch.tensor(spec.pixel_std)
        self.register_buffer("scale", (spec.pixel_scale / std).view(1, 3, 1, 1))
        self.register_buffer("shift", (-torch.tensor(spec.pixel_mean) / std).view(1, 3, 1, 1))
        self.register_buffer("to_pixels", torch.tensor([spec.input_width, spec.input_height] * 2).float())

    def forward(self, images: Tensor) -> Tensor:
        answer = self.body(images.to(self.scale.dtype) * self.scale + self.shift)
        raw = answer[0] if isinstance(answer, (tuple, list)) else answer
        if self.layout != "rows":
            return cast(Tensor, raw.float())
        boxes, rest = raw[..., :4].float(), raw[..., 4:6].float()
        if self.centres:
            centre, half = boxes[..., :2], boxes[..., 2:] / 2
            boxes = torch.cat((centre - half, centre + half), dim=-1)
        if self.unit:
            boxes = boxes * self.to_pixels.float()
        return torch.cat((boxes, rest), dim=-1)


class TorchEngine:
    """Runs a DetectorModule eagerly: FP16 on a GPU, FP32 on a CPU. Call it from one thread only: every new
    thread builds a cuDNN state of its own, and throughput falls by an order of magnitude."""

    def __init__(self, body: nn.Module, spec: DetectorSpec, device: str = "auto") -> None:
        self.device = torch.device(choose_device(device))
        self.half = self.device.type == "cuda"
        module = DetectorModule(body, spec).eval().to(self.device)
        self.module = module.half() if self.half else module.float()

    @torch.inference_mode()
    def infer(self, pixels: npt.NDArray[np.uint8]) -> Rows:
        """uint8 [n, 3, height, width] → float32 [n, rows, 6] in input pixels."""
        rows = self.module(torch.from_numpy(pixels).to(self.device))
        return cast(Rows, rows.cpu().numpy())


def choose_device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {wanted!r} was asked for, but torch {torch.__version__} sees no GPU")
    return wanted
