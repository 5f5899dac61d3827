"""Contracts and answers: what a model says it takes, and what may be believed of what it says."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from ai.core.errors import InvalidModelOutput, ModelNotFound
from ai.core.geometry import letterbox
from ai.core.spec import DetectorSpec
from ai.triton.asking import answers
from ai.triton.asking.contract import Contract, contract_of
from ai.triton.asking.described import CONFIG, METADATA, ModelConfig, described
from ai.triton.asking.wire import Answer, Output
from tests.liars import ENCODED, PIXELS, configuration, spec_of
from tests.scripted import BOX, SIZE, SPEC

PLACE = letterbox(640, 480, SPEC.input_width, SPEC.input_height)


def config_of(model: str, **changes) -> ModelConfig:
    table = MessageToDict(configuration(model), preserving_proto_field_name=True)
    return described(CONFIG, {**table, **changes})


def contract(model: str = ENCODED, spec: DetectorSpec | None = None, **changes) -> Contract:
    return contract_of(model, "1", config_of(model, **changes), {model: spec} if spec else {})


def tensor(name: str, data_type: str, dims: list[int], **more) -> dict:
    return {"name": name, "data_type": f"TYPE_{data_type}", "dims": dims, **more}


# --- contracts --------------------------------------------------------------------------------------------


def test_the_two_forms_are_told_apart():
    encoded, pixels = contract(ENCODED), contract(PIXELS)
    assert encoded.encoded
    assert [promise.shape for promise in encoded.promises] == [(1, 5, 6), (1, 2)]
    assert (pixels.encoded, pixels.input_name) == (False, "images")
    assert encoded.spec == pixels.spec == SPEC


def test_outputs_are_named_only_where_there_are_others():
    assert contract(ENCODED).outputs == contract(PIXELS).outputs == ()
    more = [tensor("rows", "FP32", [5, 6]), tensor("masks", "FP32", [5, 160, 160])]
    assert contract(PIXELS, output=more).outputs == ("rows",)


def test_without_a_batch_dimension_none_is_sent_or_awaited():
    alone = contract(ENCODED, max_batch_size=0)
    assert alone.shaped(7) == (7,)
    assert alone.promises[0].shape == (5, 6)


def test_an_export_that_keeps_the_batch_to_itself_is_asked_with_one():
    own = contract(
        PIXELS,
        max_batch_size=0,
        input=[tensor("images", "UINT8", [1, 3, 64, 96])],
        output=[tensor("rows", "FP32", [1, 5, 6])],
    )
    assert own.shaped(3, 64, 96) == (1, 3, 64, 96)
    assert own.promises[0].shape == (1, 5, 6)


def test_sizes_that_are_left_open_fit():
    contract(PIXELS, input=[tensor("images", "UINT8", [3, -1, -1])], output=[tensor("rows", "FP32", [-1, 6])])


def test_an_input_that_may_be_left_out_is_left_out():
    extra = [tensor("image", "UINT8", [-1]), tensor("threshold", "FP32", [1], optional=True)]
    assert contract(ENCODED, input=extra).encoded


def test_a_spec_of_the_users_goes_before_the_carried_one():
    own = spec_of(labels=["lynx", "wolf"])
    assert contract(ENCODED, own).spec is own


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (ENCODED, {"input": [tensor("image", "FP32", [-1])]}),
        (ENCODED, {"input": [tensor("picture", "UINT8", [-1])]}),
        (ENCODED, {"input": [tensor("image", "UINT8", [3, 64, 96])]}),
        (ENCODED, {"input": [tensor("image", "UINT8", [-1]), tensor("threshold", "FP32", [1])]}),
        (ENCODED, {"input": []}),
        (ENCODED, {"output": [tensor("detections", "FP32", [5, 6])]}),
        (ENCODED, {"output": [tensor("detections", "FP32", [5, 7]), tensor("image_size", "INT32", [2])]}),
        (ENCODED, {"output": [tensor("detections", "FP32", [-1, 6]), tensor("image_size", "INT32", [2])]}),
        (ENCODED, {"output": [tensor("detections", "FP32", [5, 6]), tensor("image_size", "INT64", [2])]}),
        (PIXELS, {"input": [tensor("images", "FP32", [3, 64, 96])]}),
        (PIXELS, {"input": [tensor("images", "UINT8", [3, 640, 640])]}),
        (PIXELS, {"output": [tensor("rows", "FP16", [5, 6])]}),
        (PIXELS, {"output": [tensor("other", "FP32", [5, 6])]}),
    ],
)
def test_what_is_neither_form_is_said_in_words(model, changes):
    with pytest.raises(ModelNotFound) as refused:
        contract(model, **changes)
    text = str(refused.value)
    assert f"Model {model!r} takes " in text
    assert "image UINT8 [-1] in, detections FP32 [n, 6] and image_size INT32 [2] out" in text
    assert "images UINT8 [3, 64, 96] in, rows FP32 out" in text


@pytest.mark.parametrize("carried", ["", "no JSON", "[]", "{}", json.dumps({"name": "x"}), "[" * 99_999])
def test_a_parameter_that_is_no_spec_is_said(carried):
    with pytest.raises(ModelNotFound, match="no detector's spec"):
        contract(ENCODED, parameters={"detector": {"string_value": carried}})


def test_a_model_without_a_spec_is_said():
    with pytest.raises(ModelNotFound, match="no spec was given"):
        contract(ENCODED, parameters={})


def test_the_newest_version_is_the_greatest_number():
    versions = described(METADATA, {"name": "x", "versions": ["9", "10", "2"]})
    assert versions.newest == "10"
    assert described(METADATA, {"name": "x"}).newest == ""


def test_a_description_that_is_none_says_where():
    with pytest.raises(InvalidModelOutput, match="input"):
        described(CONFIG, {"input": [{"name": 3}]})
    with pytest.raises(InvalidModelOutput, match="itself"):
        described(CONFIG, [])


def test_a_question_stays_right_where_only_the_meaning_changed():
    """Encoded bytes are the same whoever decodes them; pixels were made by one spec."""
    labels, size = spec_of(labels=["lynx", "wolf"]), spec_of(fit="stretch")
    assert contract(ENCODED).asks_the_same(contract(ENCODED, size))
    assert contract(PIXELS).asks_the_same(contract(PIXELS))
    assert not contract(PIXELS).asks_the_same(contract(PIXELS, labels))
    assert not contract(PIXELS).asks_the_same(contract(PIXELS, size))
    assert not contract(ENCODED).asks_the_same(contract(PIXELS))


# --- answers ----------------------------------------------------------------------------------------------


def rows_of(*rows: list[float]) -> Output:
    table = np.full((1, SPEC.max_detections, 6), -1, np.float32)
    table[0, : len(rows)] = np.array(rows, np.float32).reshape(-1, 6)
    return Output("FP32", table.shape, table.tobytes())


def answer(**outputs: Output) -> Answer:
    size = Output("INT32", (1, 2), np.array([SIZE], np.int32).tobytes())
    return Answer("1", {"image_size": size, **outputs})


def test_rows_before_the_filling_are_read_best_first():
    worse = [*BOX[:4], 0.5, 0]
    found = answers.read(answer(detections=rows_of(worse, BOX)), contract(), None)
    assert [(one.score, one.label) for one in found] == [(0.75, "dog"), (0.5, "cat")]


def test_only_filling_is_an_empty_scene():
    assert len(answers.read(answer(detections=rows_of()), contract(), None)) == 0
    zeros = Output("FP32", (1, 5, 6), bytes(5 * 6 * 4))
    with pytest.raises(InvalidModelOutput):
        answers.read(answer(detections=zeros), contract(), None)


def test_filling_that_begins_inside_a_row_is_not_filling():
    """Seven numbers of -1 at the end: six of them look like a row, at the wrong place."""
    table = rows_of(BOX, BOX, BOX, BOX, BOX).data[: -7 * 4] + np.full(7, -1, np.float32).tobytes()
    with pytest.raises(InvalidModelOutput):
        answers.read(answer(detections=Output("FP32", (1, 5, 6), table)), contract(), None)


def test_a_score_at_the_floor_is_in_though_32_bits_round_it():
    """float32(0.7) is a little under 0.7."""
    spec = spec_of(score_floor=0.7)
    at_floor = rows_of([*BOX[:4], 0.7, 0])
    assert len(answers.read(answer(detections=at_floor), contract(ENCODED, spec), None)) == 1
    with pytest.raises(InvalidModelOutput, match="under the floor"):
        answers.read(answer(detections=rows_of([*BOX[:4], 0.69, 0])), contract(ENCODED, spec), None)


def test_what_is_wrong_is_said_with_model_and_version():
    with pytest.raises(InvalidModelOutput, match=r"Model 'encoded' version '1' answers nonsense: .* NaN"):
        answers.read(answer(detections=rows_of([math.nan, *BOX[1:]])), contract(), None)


some_float = st.one_of(st.floats(width=32), st.sampled_from([-1.0, 0.0, 0.3, 1.0, 2.0, 50.0]))
LAYOUTS = {
    "rows": (spec_of(), (5, 6)),
    "rows with suppression": (spec_of(nms_iou=0.5), (5, 6)),
    "anchors": (spec_of(layout="anchors", nms_iou=0.5, box_format="cxcywh-pixels"), (6, 7)),
    "queries": (spec_of(layout="queries", box_format="cxcywh-unit"), (7, 6)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_a_network_answers_is_true_or_refused(layout, data):
    spec, shape = LAYOUTS[layout]
    numbers = data.draw(st.lists(some_float, min_size=math.prod(shape), max_size=math.prod(shape)))
    raw = Output("FP32", (1, *shape), np.array(numbers, np.float32).tobytes())
    takes = contract(PIXELS, spec, output=[tensor("rows", "FP32", list(shape))])
    try:
        found = answers.read(answer(rows=raw), takes, PLACE)
    except InvalidModelOutput:
        return
    for one in found:
        assert 0 <= one.x1 < one.x2 <= 640
        assert 0 <= one.y1 < one.y2 <= 480
        assert spec.score_floor <= one.score <= 1
        assert one.label == spec.labels[one.class_id]
