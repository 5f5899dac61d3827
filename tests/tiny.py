"""A detector of a few bytes: whatever the picture, it answers the boxes that it was made with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ai.core.spec import DetectorSpec
from ai.engines.onnxruntime_engine import OnnxRuntimeEngine
from ai.triton.building.source import Source

Rows = Sequence[tuple[float, float, float, float, float, float]]

SPEC = DetectorSpec(
    name="tiny", title="Tiny", input_name="images", input_width=64, input_height=64, fit="stretch",
    output_name="detections", max_detections=10, score_floor=0.05, labels=("cat", "dog"),
)  # fmt: skip
A_CAT: Rows = [(16, 16, 48, 32, 0.75, 0)]
A_DOG: Rows = [(8, 8, 24, 56, 0.5, 1)]


def tiny_source(folder: Path, rows: Rows = A_CAT, spec: DetectorSpec = SPEC) -> Source:
    def write(path: Path) -> None:
        onnx.save(graph(rows, spec), str(path))

    def reference() -> OnnxRuntimeEngine:
        path = folder / f"{spec.name}-reference.onnx"
        write(path)
        return OnnxRuntimeEngine(path)

    return Source(spec, hashlib.sha256(repr((rows, spec)).encode()).hexdigest(), write, reference)


def broken_source(spec: DetectorSpec = SPEC) -> Source:
    """A graph that no engine can read; its folder looks like any other."""
    return replace(
        tiny_source(Path(), spec=spec),
        fingerprint="broken",
        write_onnx=lambda path: path.write_bytes(b"no graph"),
    )


def graph(rows: Rows, spec: DetectorSpec = SPEC) -> onnx.ModelProto:
    """answers[i] = the rows + 0 · mean(picture i): the constant takes the batch's size."""
    table = np.zeros((1, spec.max_detections, 6), np.float32)
    table[0, : len(rows)] = rows
    nodes = [
        helper.make_node("Cast", [spec.input_name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "last"], ["grey"]),
        helper.make_node("Mul", ["grey", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "rows"], [spec.output_name]),
    ]
    picture = ["batch", 3, spec.input_height, spec.input_width]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(spec.input_name, TensorProto.UINT8, picture)],
            [
                helper.make_tensor_value_info(
                    spec.output_name, TensorProto.FLOAT, ["batch", spec.max_detections, 6]
                )
            ],
            [
                numpy_helper.from_array(np.array([3], np.int64), "last"),
                numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
                numpy_helper.from_array(table, "rows"),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
