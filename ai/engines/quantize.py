"""FP32 graph → INT8, calibrated on pictures: convolutions in eight bits, everything else as it was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from ai.core.errors import CrossfadeError, InvalidImage
from ai.core.image import decode
from ai.core.processing import prepare
from ai.core.spec import DetectorSpec

PICTURES = ("*.jpg", "*.jpeg", "*.png", "*.webp")
MIN_PICTURES = 8
# What a convolution answers is rounded once, behind its activation. If it were in between too, OpenVINO could not run
# the two as one, and more boxes would differ.
UNROUNDED = {"OpTypesToExcludeOutputQuantization": ["Conv"]}


class CannotCalibrate(CrossfadeError):
    pass


def pictures_in(folder: Path) -> tuple[Path, ...]:
    found = tuple(sorted(path for pattern in PICTURES for path in folder.glob(pattern)))
    if len(found) < MIN_PICTURES:
        raise CannotCalibrate(
            f"{folder} holds {len(found)} pictures ({', '.join(PICTURES)}); calibrating needs {MIN_PICTURES} or more"
        )
    return found


def quantize(
    graph: Path,
    spec: DetectorSpec,
    pictures: Sequence[Path],
    looked_at: Callable[[int], None] = lambda _: None,
) -> None:
    """Replace the graph in place. Scales come from the range of every activation over the pictures; `looked_at` hears
    how many of them were taken."""
    with tempfile.TemporaryDirectory(dir=graph.parent) as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(graph), str(plain), skip_symbolic_shape=True)
        inputs = _Pictures(spec, pictures, looked_at)
        quantize_static(
            str(plain), str(small), inputs, quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
            calibrate_method=CalibrationMethod.MinMax, extra_options=UNROUNDED,
        )  # fmt: skip
        small.replace(graph)


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    def __init__(
        self, spec: DetectorSpec, pictures: Sequence[Path], looked_at: Callable[[int], None]
    ) -> None:
        self._inputs = self._prepared(spec, pictures, looked_at)

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        return next(self._inputs, None)

    @staticmethod
    def _prepared(
        spec: DetectorSpec, pictures: Sequence[Path], looked_at: Callable[[int], None]
    ) -> Iterator[dict[str, Any]]:
        for number, path in enumerate(pictures, start=1):
            looked_at(number)
            try:
                yield {spec.input_name: prepare(decode(path.read_bytes()), spec).pixels[None]}
            except InvalidImage as error:
                raise CannotCalibrate(f"{path}: {error}") from error
