"""A detector as one ONNX file, uint8 `images` in, `detections` out, compared with torch when written."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import nn

from ai.core.spec import DetectorSpec
from ai.engines.comparison import Agreement, ExportDiffers, agreement, pictures
from ai.engines.detector import TorchDetector
from ai.engines.settings import WeightsSettings
from ai.engines.torch_engine import DetectorModule
from ai.engines.weights import WeightsNotFound, WrongWeights

OPSET = 17  # the newest that TensorRT 8.6, OpenVINO and ONNX Runtime of the last years all take
CHECKED_BATCHES = (1, 3)


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
        found = _compare(module, spec, aside)
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
    return found


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
    agreements: list[Agreement] = []
    for batch in CHECKED_BATCHES:
        pixels = pictures(spec)[:batch]
        with torch.inference_mode():
            wanted = module(torch.from_numpy(pixels)).numpy()
        got = session.run([spec.output_name], {spec.input_name: pixels})[0]
        agreements += [agreement(a, b, spec.exported()) for a, b in zip(wanted, got, strict=True)]
    return min(agreements, key=lambda one: one.least_iou)


def run(detector: TorchDetector) -> None:
    """The command line of both exporters."""
    parser = argparse.ArgumentParser(
        description=f"Export {detector.spec.title} to ONNX and check it against torch."
    )
    parser.add_argument("--output", type=Path, required=True, help="the .onnx file to write")
    args = parser.parse_args()
    settings = WeightsSettings(_env_prefix=detector.prefix)
    try:
        found = export(detector.load_module(settings.weights), detector.head, args.output)
    except (WeightsNotFound, WrongWeights, ExportDiffers) as error:
        sys.exit(str(error))
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, {found}")
