"""What eight bits do to a graph, on one of four convolutions with activations between them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ai.core.image import decode
from ai.core.processing import prepare
from ai.engines.quantize import MIN_PICTURES, ends, quantize
from tests import pictures
from tests.tiny import SPEC

CHANNELS = 8
SPECIFIED = replace(SPEC, input_width=32, input_height=32)


def graph() -> onnx.ModelProto:
    """pixels → first → second → third → fourth, each but the last with its activation."""
    random = np.random.default_rng(3)
    places = ["pixels", "first", "second", "third", SPECIFIED.output_name]
    widths, nodes, weights = [3, CHANNELS, CHANNELS, CHANNELS, 4], [], []
    nodes.append(helper.make_node("Cast", [SPECIFIED.input_name], ["pixels"], to=TensorProto.FLOAT))
    for number, (taken, given) in enumerate(pairwise(places)):
        shape = (widths[number + 1], widths[number], 3, 3)
        kernel = random.normal(0, 0.2 if number else 0.02, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel {given}"))
        seen = given if number == 3 else f"{given} seen"
        nodes.append(
            helper.make_node("Conv", [taken, f"kernel {given}"], [seen], name=f"conv {number}", pads=[1] * 4)
        )
        if number < 3:
            nodes.append(helper.make_node("Sigmoid", [seen], [f"{given} share"]))
            nodes.append(helper.make_node("Mul", [seen, f"{given} share"], [given]))
    pixels = helper.make_tensor_value_info(SPECIFIED.input_name, TensorProto.UINT8, ["batch", 3, 32, 32])
    answer = helper.make_tensor_value_info(SPECIFIED.output_name, TensorProto.FLOAT, ["batch", 4, 32, 32])
    body = helper.make_graph(nodes, "four convolutions", [pixels], [answer], weights)
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
    """Or OpenVINO could not run them as one. What the next one takes is rounded."""
    nodes = onnx.load(str(both[1])).graph.node
    takers = {name: [one.op_type for one in nodes if name in one.input] for name in ("second seen", "second")}
    assert sorted(takers["second seen"]) == ["Mul", "Sigmoid"]
    assert takers["second"] == ["QuantizeLinear"]


def test_the_first_and_the_last_stay_as_they_were(both):
    """Pixels, and what is read as boxes and scores; in between weights are bytes."""
    kinds = {one.name: one.data_type for one in onnx.load(str(both[1])).graph.initializer}
    kept = {name for name, kind in kinds.items() if name.startswith("kernel") and kind == TensorProto.FLOAT}
    small = {name for name, kind in kinds.items() if name.startswith("kernel") and kind == TensorProto.INT8}
    assert {name for name in kept if not name.endswith(("_scale", "_zero_point"))} == {
        "kernel first", f"kernel {SPECIFIED.output_name}"
    }  # fmt: skip
    assert {name.removesuffix("_quantized") for name in small if name.endswith("_quantized")} == {
        "kernel second", "kernel third"
    }  # fmt: skip


def test_ends_are_found_along_every_way():
    """Two heads have two ends; a convolution without a name cannot be kept out, and is not confused with others."""
    nodes = [
        helper.make_node("Conv", ["a", "w"], ["b"], name="one"),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "w"], ["d"], name="two"),
        helper.make_node("Conv", ["d", "w"], ["e"], name="boxes"),
        helper.make_node("Conv", ["d", "w"], ["f"], name="scores"),
        helper.make_node("Conv", ["d", "w"], ["g"]),
        helper.make_node("Concat", ["e", "f", "g"], ["h"], axis=1),
    ]
    assert ends(helper.make_graph(nodes, "heads", [], [])) == ["boxes", "one", "scores"]


def test_eight_bits_answer_nearly_the_same(both):
    pixels = prepare(decode(pictures.jpeg()), SPECIFIED).pixels[None]
    plain, small = (
        onnxruntime.InferenceSession(str(path)).run(None, {SPECIFIED.input_name: pixels})[0] for path in both
    )
    assert np.abs(plain - small).max() < 0.05 * np.abs(plain).max()
    assert np.abs(plain - small).max() > 0
