"""KServe's binary tensors over HTTP: a JSON head, then the tensors' bytes as they are.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from ai.core.errors import InvalidModelOutput
from ai.triton.asking.described import Dims, Listed
from ai.triton.asking.wire import MAX_HEAD_BYTES, Answer, Json, Output, Question, queue_timeout_us

_MAX_DIGITS = len(str(MAX_HEAD_BYTES))  # int() fails of too many


@dataclass(frozen=True, slots=True)
class _Parameters:
    binary_data_size: int | None = None


@dataclass(frozen=True, slots=True)
class _Declared:
    name: str
    datatype: str
    shape: Dims
    parameters: _Parameters = field(default_factory=_Parameters)


@dataclass(frozen=True, slots=True)
class _Head:
    outputs: Listed[_Declared]
    model_version: str = ""
    id: str = ""


_HEAD = TypeAdapter(_Head)


def encode(question: Question, timeout_s: float) -> tuple[bytes, int]:
    """A request's body, and how much of it is the head."""
    parameters: Json = {"timeout": queue_timeout_us(timeout_s)}
    if question.priority:
        parameters["priority"] = question.priority
    head: Json = {
        "parameters": parameters,
        "inputs": [
            {
                "name": question.input_name,
                "datatype": question.datatype,
                "shape": question.shape,
                "parameters": {"binary_data_size": len(question.data)},
            }
        ],
    }
    if question.outputs:
        head["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in question.outputs]
    else:
        parameters["binary_data_output"] = True
    if question.request_id:
        head["id"] = question.request_id
    text = json.dumps(head).encode()
    return b"".join((text, question.data)), len(text)


def decode(content: bytes, head_bytes: str | None) -> Answer:
    """`head_bytes` is the header that says where the tensors begin."""
    at = _tensors_begin_at(content, head_bytes)
    head = _head(content[:at])
    outputs: dict[str, Output] = {}
    for declared in head.outputs:
        size = declared.parameters.binary_data_size
        if size is None or not 0 <= size <= len(content) - at or declared.name in outputs:
            raise InvalidModelOutput(
                f"Triton's answer ends, or repeats itself, at output {declared.name!r} of {size} bytes."
            )
        outputs[declared.name] = Output(declared.datatype, declared.shape, content[at : at + size])
        at += size
    if at != len(content):
        raise InvalidModelOutput(f"Triton's answer has {len(content) - at} bytes more than its outputs.")
    return Answer(head.model_version, outputs, head.id)


def _tensors_begin_at(content: bytes, said: str | None) -> int:
    """What the header says, if that can be true."""
    at = int(said) if said is not None and said.isdecimal() and len(said) <= _MAX_DIGITS else -1
    if not 0 <= at <= min(len(content), MAX_HEAD_BYTES):
        shown = None if said is None else said[:20]
        raise InvalidModelOutput(
            f"Triton's answer of {len(content)} bytes has no binary tensors: its head is said to have {shown}."
        )
    return at


def _head(text: bytes) -> _Head:
    try:
        return _HEAD.validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidModelOutput(
            f"Triton's answer cannot be read: {problem['msg']} at {problem['loc']}."
        ) from error
