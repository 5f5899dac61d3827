"""What eight bits do to a graph, on one of two convolutions with an activation between them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ai.core.image import decode
from ai.core.processing import prepare
from ai.engines.quantize import MIN_PICTURES, quantize
from tests import pictures
from tests.tiny import SPEC

CHANNELS = 8
SPECIFIED = replace(SPEC, input_width=32, input_height=32)


def graph() -> onnx.ModelProto:
    random = np.random.default_rng(3)
    first = random.normal(0, 0.02, (CHANNELS, 3, 3, 3)).astype(np.float32)
    second = random.normal(0, 0.2, (4, CHANNELS, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", [SPECIFIED.input_name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["pixels", "first"], ["seen"], name="one", pads=[1] * 4),
        helper.make_node("Sigmoid", ["seen"], ["share"]),
        helper.make_node("Mul", ["seen", "share"], ["active"]),
        helper.make_node("Conv", ["active", "second"], [SPECIFIED.output_name], name="two", pads=[1] * 4),
    ]
    taken = helper.make_tensor_value_info(SPECIFIED.input_name, TensorProto.UINT8, ["batch", 3, 32, 32])
    answer = helper.make_tensor_value_info(SPECIFIED.output_name, TensorProto.FLOAT, ["batch", 4, 32, 32])
    weights = [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")]
    body = helper.make_graph(nodes, "two convolutions", [taken], [answer], weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("quantize")
    plain, small = folder / "plain.onnx", folder / "small.onnx"
    onnx.save(graph(), str(plain))
    onnx.save(graph(), str(small))
    seen = [folder / f"{number}.jpg" for number in range(MIN_PICTURES)]
    for number, path in enumerate(seen):
        path.write_bytes(pictures.jpeg(np.roll(pictures.scene(), 3 * number, axis=1)))
    quantize(small, SPECIFIED, seen)
    return plain, small


def test_nothing_is_rounded_between_a_convolution_and_its_activation(both):
    """Or OpenVINO could not run them as one. What the next one takes is rounded, and both have weights of a byte."""
    nodes = onnx.load(str(both[1])).graph.node
    takers = {name: [one.op_type for one in nodes if name in one.input] for name in ("seen", "active")}
    assert sorted(takers["seen"]) == ["Mul", "Sigmoid"]
    assert takers["active"] == ["QuantizeLinear"]
    assert [one.op_type for one in nodes].count("Conv") == 2
    weights = {one.name: one.data_type for one in onnx.load(str(both[1])).graph.initializer}
    assert [kind for name, kind in weights.items() if name.endswith("_quantized") and "bias" not in name] == [
        TensorProto.INT8, TensorProto.INT8
    ]  # fmt: skip


def test_eight_bits_answer_nearly_the_same(both):
    pixels = prepare(decode(pictures.jpeg()), SPECIFIED).pixels[None]
    plain, small = (
        onnxruntime.InferenceSession(str(path)).run(None, {SPECIFIED.input_name: pixels})[0] for path in both
    )
    assert np.abs(plain - small).max() < 0.05 * np.abs(plain).max()
    assert np.abs(plain - small).max() > 0
