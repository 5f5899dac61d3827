"""Networks of a few nodes, as ONNX files: what somebody else might bring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ai.core.spec import DetectorSpec

FLOAT, HALF, BYTES = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8

SPEC = DetectorSpec(
    name="bright", title="Bright", input_name="data", input_width=64, input_height=32, fit="stretch",
    input_type="float32", pixel_scale=1 / 255, pixel_mean=(0.1, 0.2, 0.3), pixel_std=(0.5, 0.25, 0.2),
    output_name="found", max_detections=3, score_floor=0.1, labels=("red", "green", "blue"),
)  # fmt: skip


def bright(
    path: Path, *, size=("n", 3, 32, 64), kind=FLOAT, metadata=None, opset=17, flatten=(0, 3, -1)
) -> Path:
    """Row i is a box whose score is the mean of colour i, squashed: an answer that knows the normalisation, and the
    order of colours and pictures. `flatten` is the reshape inside, where exports fix their batch."""
    boxes = np.array([[4 * i, 2 * i, 4 * i + 30, 2 * i + 20] for i in range(3)], np.float32)
    classes = np.arange(3, dtype=np.float32)[:, None]
    nodes = [
        helper.make_node("Cast", ["data"], ["pixels"], to=FLOAT),
        helper.make_node("Reshape", ["pixels", "flat"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[2], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["score"]),
        helper.make_node("Mul", ["score", "nothing4"], ["zero4"]),
        helper.make_node("Add", ["zero4", "boxes"], ["box"]),
        helper.make_node("Mul", ["score", "nothing1"], ["zero1"]),
        helper.make_node("Add", ["zero1", "classes"], ["class"]),
        helper.make_node("Concat", ["box", "score", "class"], ["table"], axis=2),
        helper.make_node("Cast", ["table"], ["found"], to=FLOAT if kind == BYTES else kind),
    ]
    weights = {
        "flat": np.array(flatten, np.int64), "nothing4": np.zeros((1, 1, 4), np.float32),
        "nothing1": np.zeros((1, 1, 1), np.float32), "boxes": boxes[None], "classes": classes[None],
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "bright", [helper.make_tensor_value_info("data", kind, size)],
        [helper.make_tensor_value_info("found", FLOAT if kind == BYTES else kind, [size[0], 3, 6])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path


def mixed_up(path: Path, size) -> Path:
    """Inside, the pictures stand where the rows should: right for one picture, and for no other number."""
    model = onnx.load(bright(path, size=size))
    turn = helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0, 2])
    back = helper.make_node("Reshape", ["turned", "like_one"], ["table_back"])
    model.graph.initializer.append(helper.make_tensor("like_one", TensorProto.INT64, [3], [-1, 3, 6]))
    model.graph.node[-1].input[0] = "table_back"
    model.graph.node.insert(len(model.graph.node) - 1, turn)
    model.graph.node.insert(len(model.graph.node) - 1, back)
    onnx.save(model, str(path))
    return path
