"""A graph that others exported answers the same once it takes bytes, whatever batch, type and opset it came with."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from ai.core.spec import Serving
from ai.engines.comparison import ExportDiffers, agreement
from ai.engines.foreign_onnx import DoesNotRun, ForeignNetwork, convert, read, save
from ai.engines.onnx_graph import CannotServe
from tests.networks import BYTES, FLOAT, HALF, SPEC, bright, mixed_up

GENERATOR = np.random.default_rng(5)
PICTURES = GENERATOR.integers(0, 256, (4, 3, 32, 64), np.uint8)


def wanted(pixels):
    """By hand: each row's score is its colour's mean, normalised and squashed."""
    mean = (pixels.reshape(-1, 3, 32 * 64).mean(axis=2) / 255 - SPEC.pixel_mean) / SPEC.pixel_std
    return 1 / (1 + np.exp(-mean))


def served(file, spec, folder):
    any_batch = convert(file, spec, folder / "served.onnx")
    assert sorted(path.name for path in folder.glob("*served*")) == ["served.onnx"]
    return any_batch, onnxruntime.InferenceSession(str(folder / "served.onnx"))


@pytest.mark.parametrize("kind", [FLOAT, HALF])
@pytest.mark.parametrize("size", [("n", 3, 32, 64), (1, 3, 32, 64), ("n", 3, "h", "w")])
def test_bytes_go_in_and_the_same_rows_come_out(tmp_path, kind, size):
    flatten = (1, 3, 2048) if size[0] == 1 else (0, 3, -1)
    any_batch, session = served(
        bright(tmp_path / "x.onnx", kind=kind, size=size, flatten=flatten), SPEC, tmp_path
    )
    assert any_batch
    (into,), (out_of,) = session.get_inputs(), session.get_outputs()
    assert (into.name, into.type, into.shape[1:]) == ("data", "tensor(uint8)", [3, 32, 64])
    assert (out_of.name, out_of.type, out_of.shape[1:]) == ("found", "tensor(float)", [3, 6])
    rows = session.run(None, {"data": PICTURES})[0]
    np.testing.assert_allclose(rows[..., 4], wanted(PICTURES), atol=1e-5 if kind == FLOAT else 5e-3)
    np.testing.assert_array_equal(rows[0, :, 5], [0, 1, 2])


@pytest.mark.parametrize("flatten", [(1, 3, -1), (1, 3, 2048), (-1, 3, 2048)])
def test_a_batch_of_one_is_freed(tmp_path, flatten):
    file = bright(tmp_path / "x.onnx", size=(1, 3, 32, 64), flatten=flatten)
    any_batch, session = served(file, SPEC, tmp_path)
    assert any_batch
    np.testing.assert_allclose(session.run(None, {"data": PICTURES})[0][..., 4], wanted(PICTURES), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 3, 32, 64), ("n", 3, 32, 64)])
def test_a_batch_that_gives_other_answers_is_not_offered(tmp_path, size):
    """It runs with any number of pictures, and mixes them: only a comparison can see that."""
    file = mixed_up(tmp_path / "x.onnx", size)
    apart = ForeignNetwork(file, SPEC).infer(PICTURES)
    any_batch, session = served(file, SPEC, tmp_path)
    assert not any_batch
    assert session.get_inputs()[0].shape == [1, 3, 32, 64]
    np.testing.assert_allclose(session.run(None, {"data": PICTURES[2:3]})[0], apart[2:3], atol=1e-5)


@pytest.mark.parametrize("batch", [2, 3, 4])
def test_a_fixed_batch_of_several_is_refused(tmp_path, batch):
    file = bright(tmp_path / "x.onnx", size=(batch, 3, 32, 64), flatten=(batch, 3, 2048))
    with pytest.raises(CannotServe, match=rf"fixed at {batch} inside.*export it with a dynamic batch"):
        convert(file, SPEC, tmp_path / "served.onnx")
    assert list(tmp_path.iterdir()) == [file]


def test_more_at_once_than_the_network_can_is_refused(tmp_path):
    spec = dataclasses.replace(SPEC, serving=Serving(max_batch=8))
    with pytest.raises(CannotServe, match="fixed at 1 inside"):
        convert(mixed_up(tmp_path / "x.onnx", (1, 3, 32, 64)), spec, tmp_path / "served.onnx")


def test_a_network_that_takes_bytes_already_is_left_as_it_is(tmp_path):
    spec = dataclasses.replace(SPEC.with_bytes_in(), input_type="uint8")
    file = bright(tmp_path / "x.onnx", kind=BYTES)
    any_batch, session = served(file, spec, tmp_path)
    assert any_batch
    mean = PICTURES.reshape(4, 3, -1).mean(axis=2)
    np.testing.assert_allclose(
        session.run(None, {"data": PICTURES})[0][..., 4], 1 / (1 + np.exp(-mean)), atol=1e-5
    )


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_the_opset_is_kept(tmp_path, opset):
    served(bright(tmp_path / "x.onnx", opset=opset), SPEC, tmp_path)
    assert [one.version for one in onnx.load(str(tmp_path / "served.onnx")).opset_import] == [opset]


def test_an_input_that_a_branch_uses_is_found_there_too(tmp_path):
    """A subgraph sees the names around it: the pixels within an If must be the normalised ones."""
    model = read(bright(tmp_path / "x.onnx"))
    through = helper.make_node("Identity", ["data"], ["inner"])
    body = helper.make_graph([through], "body", [], [helper.make_tensor_value_info("inner", FLOAT, None)])
    yes = helper.make_node(
        "Constant", [], ["yes"], value=helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    )
    branch = helper.make_node("If", ["yes"], ["chosen"], then_branch=body, else_branch=body)
    model.graph.node[0].input[0] = "chosen"
    model.graph.node.insert(0, branch)
    model.graph.node.insert(0, yes)
    save(model, tmp_path / "x.onnx")
    _, session = served(tmp_path / "x.onnx", SPEC, tmp_path)
    np.testing.assert_allclose(session.run(None, {"data": PICTURES})[0][..., 4], wanted(PICTURES), atol=1e-5)


@pytest.mark.parametrize(
    ("network", "spec", "sentence"),
    [
        (
            {"size": ("n", 32, 64, 3)},
            {},
            r"'data' is \[any, 32, 64, 3\].*must be \[n, 3, 32, 64\]: pictures, colours",
        ),
        ({"size": ("n", 3, 32, 65)}, {}, r"must be \[n, 3, 32, 64\]"),
        ({"size": (3, 32, 64)}, {}, r"'data' is \[3, 32, 64\]"),
        ({}, {"input_name": "images"}, "no input 'images', as its spec says, but 'data'"),
        ({}, {"output_name": "boxes"}, "no output 'boxes', as its spec says, but 'found'"),
        ({"kind": BYTES}, {}, "takes uint8, and input_type is 'float32'"),
        ({}, {"input_type": "uint8"}, "takes float, and input_type is 'uint8'"),
        ({"kind": TensorProto.DOUBLE}, {}, "takes double"),
        ({"flatten": (5, 3, -1)}, {}, "ONNX Runtime cannot run the network"),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(tmp_path, network, spec, sentence):
    file = bright(tmp_path / "x.onnx", **network)
    with pytest.raises(CannotServe, match=sentence):
        convert(file, dataclasses.replace(SPEC, **spec), tmp_path / "served.onnx")
    assert list(tmp_path.iterdir()) == [file]


def test_a_second_input_is_refused_by_name(tmp_path):
    model = read(bright(tmp_path / "x.onnx"))
    model.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, [2]))
    save(model, tmp_path / "x.onnx")
    with pytest.raises(CannotServe, match="2 inputs \\('data', 'sizes'\\); one is allowed"):
        convert(tmp_path / "x.onnx", SPEC, tmp_path / "served.onnx")


def test_weights_that_stand_among_the_inputs_are_no_inputs(tmp_path):
    """Older exporters list them."""
    model = read(bright(tmp_path / "x.onnx"))
    model.graph.input.append(helper.make_tensor_value_info("boxes", FLOAT, [1, 3, 4]))
    save(model, tmp_path / "x.onnx")
    _, session = served(tmp_path / "x.onnx", SPEC, tmp_path)
    np.testing.assert_allclose(session.run(None, {"data": PICTURES})[0][..., 4], wanted(PICTURES), atol=1e-5)


def test_what_is_no_onnx_file_is_one_sentence(tmp_path):
    (tmp_path / "x.onnx").write_text("not a graph")
    with pytest.raises(CannotServe, match=r"x\.onnx cannot be read as an ONNX file"):
        read(tmp_path / "x.onnx")


def test_a_table_must_be_there_for_each_picture(tmp_path):
    model = read(bright(tmp_path / "x.onnx"))
    model.graph.node[-1].op_type = "Flatten"
    del model.graph.node[-1].attribute[:]
    model.graph.output[0].type.tensor_type.shape.ClearField("dim")
    save(model, tmp_path / "x.onnx")
    with pytest.raises(CannotServe, match=r"answers \[1, 18\] to a batch of 1; allowed is a table"):
        convert(tmp_path / "x.onnx", SPEC, tmp_path / "served.onnx")


def test_runtimes_own_words_are_kept(tmp_path):
    model = read(bright(tmp_path / "x.onnx"))
    model.graph.node[0].op_type = "Castle"
    save(model, tmp_path / "x.onnx")
    with pytest.raises(DoesNotRun, match="Castle"):
        ForeignNetwork(tmp_path / "x.onnx", SPEC)


ROWS = dataclasses.replace(SPEC.with_bytes_in(), max_detections=60)
GRID = dataclasses.replace(ROWS, layout="anchors", box_format="cxcywh-pixels", nms_iou=0.5)


def row_answer(score=0.5):
    table = GENERATOR.uniform(0, 20, (60, 6)).astype(np.float32)
    table[:, 2:4] += table[:, :2] + 20
    table[:, 4] = score
    table[:, 5] = np.arange(60) % 3
    return table


def test_rows_may_come_in_another_order():
    answer = row_answer()
    assert agreement(answer, answer[::-1], ROWS).boxes == 60


@pytest.mark.parametrize("score", [0.5, 0.01], ids=["seen", "unseen"])
@pytest.mark.parametrize(
    "change",
    [
        lambda table: np.add(table, (3, 3, 3, 3, 0, 0)),
        lambda table: np.add(table, (0, 0, 0, 0, 0.02, 0)),
        lambda table: np.column_stack((table[:, :5], (table[:, 5] + 1) % 3)),
        lambda table: table * (1, 1, 1, 1, 0, 1) + (0, 0, 0, 0, 0.3, 0),
        lambda table: table * 0,
        lambda table: table * np.nan,
    ],
    ids=["shifted", "scores", "classes", "all-the-same", "nothing", "nan"],
)
def test_another_answer_is_found_out_even_where_nothing_counts(score, change):
    answer = row_answer(score)
    with pytest.raises(ExportDiffers):
        agreement(answer, change(answer).astype(np.float32), ROWS)


def test_one_box_too_few_is_found_out():
    answer = row_answer()
    fewer = answer.copy()
    fewer[:4, 4] = 0.0
    with pytest.raises(ExportDiffers, match="something else"):
        agreement(answer, fewer, ROWS)
    with pytest.raises(ExportDiffers, match="something else"):
        agreement(fewer, answer, ROWS)


def test_of_many_near_equals_one_may_fall_out():
    """The last of a ranking is there or not by rounding alone."""
    answer = row_answer()
    other = answer.copy()
    other[7, :4] += 40
    assert agreement(answer, other, ROWS).least_iou > 0.99


def grid_answer():
    answer = GENERATOR.uniform(0.0, 0.04, (7, 90)).astype(np.float32)
    answer[:2], answer[2:4] = GENERATOR.uniform(10, 50, (2, 90)), GENERATOR.uniform(5, 20, (2, 90))
    return answer


def test_anchors_have_their_place_and_every_score_counts():
    answer = grid_answer()
    assert agreement(answer, answer.copy(), GRID).boxes == 90
    other_class = answer.copy()
    other_class[[4, 5]] = answer[[5, 4]]
    moved = answer.copy()
    moved[0] += 2
    for different in (other_class, moved, answer[:, ::-1], answer[:, :80]):
        with pytest.raises(ExportDiffers):
            agreement(answer, different, GRID)
