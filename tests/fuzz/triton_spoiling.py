"""Spoiled answers of a Triton: to a question, and of what its models are. Messages first, then their bytes."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2 as pb

from tests import liars
from tests.fuzz.json_spoiling import spoiled_document
from tests.fuzz.spoiling import BLIND, spoiled
from tests.scripted import SIZE, SPEC

MODELS = (liars.ENCODED, liars.PIXELS)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.05, 0.049, 0.5, 1.0000001, 1e38, -1e38, 1e-45, 640.0, 641.0, 642.0, 481.5,
           float("nan"), float("inf"), -float("inf"))  # fmt: skip
_SIZES = (0, 1, 2, 5, 6, -1, -6, 2**31, 2**63 - 1, -(2**63))
_TYPES = ("FP32", "INT32", "FP16", "UINT8", "BYTES", "", "fp32", "x" * 9_000)
_NAMES = ("detections", "image_size", "rows", "", "masks", "x" * 9_000)


def response(model: str, rng: random.Random) -> pb.ModelInferResponse:
    """A true one or one whose fields lie."""
    said = liars.answer(model)
    said.raw_output_contents[0] = _rows(rng, of_pixels=model == liars.PIXELS).tobytes()
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        rng.choice(_LIES)(said, rng)
    return said


def _rows(rng: random.Random, of_pixels: bool) -> np.ndarray:
    rows = (
        np.zeros((SPEC.max_detections, 6), np.float32)
        if of_pixels
        else np.full((SPEC.max_detections, 6), -1, np.float32)
    )
    width, height = (SPEC.input_width, SPEC.input_height) if of_pixels else SIZE
    for index in range(rng.randint(0, SPEC.max_detections)):
        x, y = (
            sorted(rng.uniform(0, width) for _ in range(2)),
            sorted(rng.uniform(0, height) for _ in range(2)),
        )
        rows[index] = x[0], y[0], x[1], y[1], rng.uniform(0.05, 1), rng.randrange(2)
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        rows[rng.randrange(len(rows)), rng.randrange(6)] = rng.choice(_FLOATS)
    return rows


def _any_output(said: pb.ModelInferResponse, rng: random.Random) -> Any:
    return rng.choice(said.outputs) if said.outputs else said.outputs.add(name="detections", datatype="FP32")


def _lie_of_shape(said: pb.ModelInferResponse, rng: random.Random) -> None:
    shape = _any_output(said, rng).shape
    if rng.random() < 0.3 or not shape:
        shape.append(rng.choice(_SIZES))
    else:
        shape[rng.randrange(len(shape))] = rng.choice(_SIZES)


def _lie_of_type(said: pb.ModelInferResponse, rng: random.Random) -> None:
    _any_output(said, rng).datatype = rng.choice(_TYPES)


def _lie_of_name(said: pb.ModelInferResponse, rng: random.Random) -> None:
    _any_output(said, rng).name = rng.choice(_NAMES)


def _lie_of_version(said: pb.ModelInferResponse, rng: random.Random) -> None:
    said.model_version = rng.choice(("", "2", "-1", "x" * 60_000, "../1", "1 ", "\x00", "é"))


def _lie_of_length(said: pb.ModelInferResponse, rng: random.Random) -> None:
    contents = said.raw_output_contents
    if not contents:
        contents.append(b"")
        return
    at = rng.randrange(len(contents))
    contents[at] = rng.choice(
        (b"", contents[at][:-1], contents[at] * 2, contents[at] + b"\0\0\0\0", bytes(120))
    )


def _lie_of_size(said: pb.ModelInferResponse, rng: random.Random) -> None:
    if len(said.raw_output_contents) > 1:
        sides = [rng.choice((0, 1, -1, 640, 65_535, 65_536, 2**31 - 1, -(2**31))) for _ in range(2)]
        said.raw_output_contents[1] = struct.pack("<2i", *sides)


def _lie_of_number(said: pb.ModelInferResponse, rng: random.Random) -> None:
    """An output or its content twice, or not at all."""
    deed = rng.randrange(4)
    if deed == 0 and said.outputs:
        said.outputs.add().CopyFrom(rng.choice(said.outputs))
    elif deed == 1 and said.raw_output_contents:
        said.raw_output_contents.append(rng.choice(said.raw_output_contents))
    elif deed == 2 and said.outputs:
        del said.outputs[rng.randrange(len(said.outputs))]
    elif said.raw_output_contents:
        del said.raw_output_contents[rng.randrange(len(said.raw_output_contents))]


_LIES = (
    _lie_of_shape,
    _lie_of_type,
    _lie_of_name,
    _lie_of_version,
    _lie_of_length,
    _lie_of_size,
    _lie_of_number,
)


def grpc_answer(model: str, rng: random.Random) -> bytes:
    content = response(model, rng).SerializeToString()
    return spoiled(content, rng, BLIND) if rng.random() < 0.4 else content


def http_answer(model: str, rng: random.Random) -> bytes:
    """A whole HTTP response; its head is spoiled as JSON, the place where its tensors begin is right or wrong."""
    reply = liars.http_reply(response(model, rng))
    head, _, body = reply.partition(b"\r\n\r\n")
    at = int(head.rsplit(b": ", 1)[1])
    table = body[:at]
    if rng.random() < 0.5:
        table = spoiled_document(json.loads(table), rng)
    said = rng.choice(
        (
            len(table),
            len(table),
            len(table),
            len(table),
            0,
            -1,
            len(table) - 1,
            len(body) + 9,
            "9" * 5_000,
            "x",
        )
    )
    return liars.http(table + body[at:], Inference_Header_Content_Length=said)


def described_as_json(aspect: str, model: str, rng: random.Random) -> bytes:
    message = liars.configuration(model) if aspect == "config" else liars.metadata(model)
    table = MessageToDict(message, preserving_proto_field_name=True)
    return spoiled_document(table, rng)


def described_as_message(aspect: str, model: str, rng: random.Random) -> bytes:
    """The spec within the configuration is spoiled too."""
    message = liars.metadata(model)
    if aspect == "config":
        config = liars.configuration(model)
        if rng.random() < 0.5:
            spec = spoiled_document(SPEC.to_table(), rng)
            config.parameters["detector"].string_value = spec.decode("utf-8", "replace")
        if rng.random() < 0.5:
            tensor = rng.choice((*config.input, *config.output))
            tensor.dims.append(rng.choice(_SIZES))
        message = pb.ModelConfigResponse(config=config)
    content = message.SerializeToString()
    return spoiled(content, rng, BLIND) if rng.random() < 0.5 else content
