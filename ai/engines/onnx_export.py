"""A detector as one ONNX file, uint8 `images` in, `detections` out, compared with torch when written."""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

from ai.core import heads
from ai.core.geometry import iou
from ai.core.image import decode
from ai.core.processing import prepare
from ai.core.sample import sample_jpeg
from ai.core.spec import DetectorSpec
from ai.engines.detector import TorchDetector
from ai.engines.settings import WeightsSettings
from ai.engines.torch_engine import DetectorModule
from ai.engines.weights import WeightsNotFound, WrongWeights

OPSET = 17  # the newest that TensorRT 8.6, OpenVINO and ONNX Runtime of the last years all take
CHECKED_BATCHES = (1, 3)
MIN_IOU = 0.99
MAX_SCORE_DIFFERENCE = 0.005


class ExportDiffers(Exception):
    """ONNX Runtime does not answer what torch answers."""


@dataclass(frozen=True, slots=True)
class Agreement:
    boxes: int
    least_iou: float
    greatest_score_difference: float

    def __str__(self) -> str:
        return (
            f"{self.boxes} boxes agree with torch: least IoU {self.least_iou:.5f}, "
            f"greatest score difference {self.greatest_score_difference:.6f}"
        )


def export(body: nn.Module, spec: DetectorSpec, output: Path) -> Agreement:
    """Write `output` (aside first, then renamed) if ONNX Runtime agrees with torch on the sample picture."""
    module = DetectorModule(body, spec).eval().float()
    for part in module.modules():
        if hasattr(part, "export"):  # ultralytics' heads then answer with the detections alone
            setattr(part, "export", True)  # noqa: B010 - torch types every attribute as a module
    aside = output.with_suffix(".part.onnx")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        _trace(module, spec, aside)
        agreement = _compare(module, spec, aside)
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
    return agreement


def _trace(module: nn.Module, spec: DetectorSpec, path: Path) -> None:
    example = torch.zeros((2, 3, spec.input_height, spec.input_width), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter(
            "ignore"
        )  # tracing warns of every shape that it freezes; the check below judges
        answer = module(example)
        torch.onnx.export(
            module,
            (example,),
            str(path),
            input_names=[spec.input_name],
            output_names=[spec.output_name],
            dynamic_axes={spec.input_name: {0: "batch"}, spec.output_name: {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    _declare_answer(path, tuple(answer.shape[1:]))


def _declare_answer(path: Path, shape: tuple[int, ...]) -> None:
    """Name the output's size, which tracing leaves open: a server's configuration wants it."""
    model = onnx.load(str(path))
    for dimension, size in zip(model.graph.output[0].type.tensor_type.shape.dim[1:], shape, strict=True):
        dimension.dim_value = size
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _compare(module: nn.Module, spec: DetectorSpec, path: Path) -> Agreement:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    picture = prepare(decode(sample_jpeg()), spec).pixels
    served = spec.exported()
    agreements = []
    for batch in CHECKED_BATCHES:
        pixels = np.repeat(picture[None], batch, axis=0)
        with torch.inference_mode():
            wanted = module(torch.from_numpy(pixels)).numpy()
        got = session.run([spec.output_name], {spec.input_name: pixels})[0]
        agreements += [
            _agreement(heads.read(a, served), heads.read(b, served)) for a, b in zip(wanted, got, strict=True)
        ]
    return min(agreements, key=lambda one: one.least_iou)


def _agreement(wanted: heads.Table, got: heads.Table) -> Agreement:
    if len(wanted) == 0 or len(wanted) != len(got):
        raise ExportDiffers(f"torch finds {len(wanted)} boxes on the sample picture, ONNX Runtime {len(got)}")
    overlap: npt.NDArray[np.float64] = iou(wanted[:, :4], got[:, :4])
    overlap[wanted[:, None, 5] != got[None, :, 5]] = 0.0
    partner = overlap.argmax(axis=1)
    found = Agreement(
        len(wanted), float(overlap.max(axis=1).min()), float(np.abs(wanted[:, 4] - got[partner, 4]).max())
    )
    if found.least_iou < MIN_IOU or found.greatest_score_difference > MAX_SCORE_DIFFERENCE:
        raise ExportDiffers(f"the exported model answers something else than torch: {found}")
    return found


def run(detector: TorchDetector) -> None:
    """The command line of both exporters."""
    parser = argparse.ArgumentParser(
        description=f"Export {detector.spec.title} to ONNX and check it against torch."
    )
    parser.add_argument("--output", type=Path, required=True, help="the .onnx file to write")
    args = parser.parse_args()
    settings = WeightsSettings(_env_prefix=detector.prefix)
    try:
        agreement = export(detector.load_module(settings.weights), detector.head, args.output)
    except (WeightsNotFound, WrongWeights, ExportDiffers) as error:
        sys.exit(str(error))
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, {agreement}")
