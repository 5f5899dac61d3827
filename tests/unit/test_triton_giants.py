"""A Triton that says very much in an allowed way is refused before it is unpacked: that would take gigabytes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from ai.core.errors import InvalidDetections, InvalidModelOutput, ModelNotFound
from ai.core.geometry import letterbox
from ai.core.processing import finish
from ai.triton.asking import answers, grpc_wire, http_body
from ai.triton.asking.contract import contract_of
from ai.triton.asking.described import CONFIG, described
from ai.triton.asking.protobuf_walk import raw_bytes
from backend.transports.legacy_answers import Reply, detections_of
from tests import liars
from tests.scripted import SPEC

MANY = 1_000_000

MEASURE = """
import re
from pathlib import Path
from ai.core.errors import InvalidModelOutput
from ai.triton.asking import answers, grpc_wire, http_body, http_wire
from ai.triton.asking.described import METADATA, described

kb = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
data = {data}
before_kb = kb()
try:
    {act}
except InvalidModelOutput:
    print((kb() - before_kb) // 1024)
"""
GIANTS = {
    "outputs over gRPC": (r'b"\x2a\x00" * 8_000_000', "grpc_wire.decode(data)"),
    "empty tensors over gRPC": (r'b"\x32\x00" * 8_000_000', "grpc_wire.decode(data)"),
    "inputs described over gRPC": (r'b"\x22\x00" * 2_000_000', 'grpc_wire.table_of("metadata", data)'),
    "outputs over HTTP": (
        r"""b'{"outputs":[' + b"0," * 999_999 + b"0]}" """, "http_body.decode(data, str(len(data)))",
    ),
    "lists described over HTTP": (r'b"[" + b"[]," * 1_000_000 + b"[]]"', "http_wire.table_of(data)"),
    "faults in a description": (
        r'{"name": "x", "inputs": [0] * 300_000}', "described(METADATA, data)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("giant", GIANTS)
def test_a_million_of_something_takes_no_memory(giant: str) -> None:
    """Each of them took 100 MB and more, and blocked the event loop for seconds."""
    data, act = GIANTS[giant]
    code = MEASURE.format(data=data, act=act)
    grown_mb = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert int(grown_mb) < 40


def test_a_head_of_more_digits_than_a_number_may_have_is_refused() -> None:
    """int() itself fails of 5,000 digits, with an error that is not ours."""
    for digits in ("9" * 5_000, "0" * 5_000 + "2", "99999"):
        with pytest.raises(InvalidModelOutput, match="its head is said to have"):
            http_body.decode(b"{}", digits)


def test_only_what_tensors_hold_counts_as_tensors() -> None:
    """All the rest is what has to be unpacked."""
    honest = liars.answer()
    content = honest.SerializeToString()
    assert raw_bytes(content) == sum(map(len, honest.raw_output_contents))
    assert raw_bytes(b"") == raw_bytes(b"\x32") == raw_bytes(b"\x32\xff\xff\xff\xff\xff\xff") == 0
    assert raw_bytes(b"\x32\x05abc") == raw_bytes(b"\xb2\x06\x03abc") == 0
    assert raw_bytes(b"\x0a\x01x\x32\x03abc\x08\x01") == 3


def test_large_tensors_are_no_giants() -> None:
    """A network's own answer of 8 MB passes, however little is said about it."""
    response = liars.answer(liars.PIXELS)
    response.raw_output_contents[0] = bytes(8_000_000)
    assert len(grpc_wire.decode(response.SerializeToString()).outputs["rows"].data) == 8_000_000


def test_a_long_word_of_a_tritons_makes_no_long_error() -> None:
    """What a liar calls its version, its types and its shapes went into the log, 60 KB of it for each request."""
    config = liars.MessageToDict(liars.configuration(liars.ENCODED), preserving_proto_field_name=True)
    honest = contract_of(liars.ENCODED, "1", described(CONFIG, config), {})
    response = liars.answer()
    response.model_version = "7" * 30_000
    response.outputs[0].datatype = "FP32" * 2_000
    with pytest.raises(InvalidModelOutput, match="version '777") as refused:
        answers.read(grpc_wire.decode(response.SerializeToString()), honest, None)
    assert len(str(refused.value)) == 1_000


@pytest.mark.parametrize("number", ["1" + "0" * 400, "NaN", "1e400"])
def test_a_number_that_is_no_float_makes_no_spec(number: str) -> None:
    """A mean of 10**400 left the client as an OverflowError; NaN and infinity were taken."""
    config = liars.MessageToDict(liars.configuration(liars.ENCODED), preserving_proto_field_name=True)
    spec = json.dumps({**SPEC.to_table(), "pixel_mean": ["number"] * 3}).replace('"number"', number)
    config["parameters"]["detector"]["string_value"] = spec
    with pytest.raises(ModelNotFound, match="pixel_mean is"):
        contract_of(liars.ENCODED, "1", described(CONFIG, config), {})


def test_a_signalling_nan_is_refused_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    """numpy warned of it on stderr before anybody had looked at the numbers."""
    config = liars.MessageToDict(liars.configuration(liars.PIXELS), preserving_proto_field_name=True)
    honest = contract_of(liars.PIXELS, "1", described(CONFIG, config), {})
    response = liars.answer(liars.PIXELS)
    response.raw_output_contents[0] = b"\x00\x00\xa0\x7f" * 6 * SPEC.max_detections
    place = letterbox(96, 64, SPEC.input_width, SPEC.input_height)
    with pytest.raises(InvalidModelOutput, match="NaN"):
        answers.read(grpc_wire.decode(response.SerializeToString()), honest, place)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_label_of_half_a_sign_is_no_label() -> None:
    """JSON can carry one; a store cannot keep it, and failed of each comparison that named it."""
    config = liars.MessageToDict(liars.configuration(liars.ENCODED), preserving_proto_field_name=True)
    carried = {**SPEC.to_table(), "labels": ["cat", "\ud83d"]}
    config["parameters"]["detector"]["string_value"] = json.dumps(carried)
    with pytest.raises(ModelNotFound, match="whole signs"):
        contract_of(liars.ENCODED, "1", described(CONFIG, config), {})
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    found = {"class": "\ud83d", "class_id": 1, "confidence": 0.5, "bbox": box}
    answer = {"detections": [found], "image_width": 64, "image_height": 48}
    with pytest.raises(InvalidModelOutput, match="a class is not a name"):
        detections_of(Reply(200, {}, json.dumps(answer).encode()))


def test_more_objects_than_a_spec_may_name_are_no_detections() -> None:
    """A network whose number of rows is left open may not answer a million boxes."""
    rows = np.tile(np.float32([1, 1, 9, 9, 0.9, 0]), (10_001, 1))
    place = letterbox(96, 64, SPEC.input_width, SPEC.input_height)
    with pytest.raises(InvalidDetections, match="10,001 objects"):
        finish(rows, place, SPEC)
    assert len(finish(rows[:10_000], place, SPEC)) == 10_000


def test_a_model_that_promises_a_million_rows_is_not_asked() -> None:
    """Each answer would be a gigabyte of objects."""
    config = liars.MessageToDict(liars.configuration(liars.ENCODED), preserving_proto_field_name=True)
    config["output"][0]["dims"] = [MANY, 6]
    with pytest.raises(ModelNotFound, match="takes image"):
        contract_of(liars.ENCODED, "1", described(CONFIG, json.loads(json.dumps(config))), {})
