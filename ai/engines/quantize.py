"""FP32 graph → INT8, calibrated on pictures: convolutions in eight bits, everything else as it was.

The first and the last convolutions stay as they were too: pixels and what boxes and scores are read from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
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

Tensors: TypeAlias = Callable[[onnx.NodeProto], Iterable[str]]


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
            nodes_to_exclude=ends(onnx.load(str(plain), load_external_data=False).graph),
            calibrate_method=CalibrationMethod.MinMax, extra_options=UNROUNDED,
        )  # fmt: skip
        small.replace(graph)


def ends(graph: onnx.GraphProto) -> list[str]:
    """The convolutions that none comes before, and those that none comes after, by name."""
    return sorted(
        {*_first(graph.node, _INPUT, _OUTPUT), *_first(list(graph.node)[::-1], _OUTPUT, _INPUT)} - {""}
    )


_INPUT: Tensors = attrgetter("input")
_OUTPUT: Tensors = attrgetter("output")


def _first(nodes: Iterable[onnx.NodeProto], taken: Tensors, given: Tensors) -> Iterator[str]:
    """Names of convolutions that nothing of a convolution reaches; `nodes` in the order that tensors go."""
    behind: set[str] = set()
    for node in nodes:
        is_behind, is_one = not behind.isdisjoint(taken(node)), node.op_type == "Conv"
        if is_one and not is_behind:
            yield node.name
        if is_one or is_behind:
            behind.update(given(node))


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
