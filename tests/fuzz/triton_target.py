"""Spoiled answers of a Triton, read as its client reads them: what the bytes say, or a BackendError."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2 as pb

from ai.core.detections import Detections
from ai.core.errors import BackendError
from ai.core.geometry import letterbox
from ai.triton.asking import answers, grpc_wire, http_body, http_wire
from ai.triton.asking.contract import Contract, contract_of
from ai.triton.asking.described import CONFIG, METADATA, described
from ai.triton.asking.wire import Answer
from tests import liars
from tests.fuzz import triton_spoiling
from tests.fuzz.said import check_believed, refused
from tests.fuzz.target import ACCEPTED, hold
from tests.fuzz.triton_spoiling import MODELS
from tests.scripted import SPEC

IDENTITY = letterbox(SPEC.input_width, SPEC.input_height, SPEC.input_width, SPEC.input_height)
GIANT_BYTES = 40_000_000


class _Answers:
    """A case begins with a byte that says which model answers."""

    memory_bound_mb = 64.0
    time_bound = 8.0

    def ask(self, data: bytes) -> str:
        model = MODELS[data[0] % len(MODELS)]
        place = None if model == liars.ENCODED else IDENTITY
        try:
            answer = self.unpack(data[1:])
            found = answers.read(answer, contract(model), place)
        except BackendError as error:
            return refused(error)
        check_truth(found, answer, model)
        return ACCEPTED

    def unpack(self, content: bytes) -> Answer:
        raise NotImplementedError

    def close(self) -> None:
        return


class GrpcAnswers(_Answers):
    name = "triton-grpc"

    def make(self, number: int, rng: random.Random) -> bytes:
        if number < len(GRPC_GIANTS):
            pattern = GRPC_GIANTS[number]
            return b"\0" + pattern * (GIANT_BYTES // len(pattern))
        model = rng.randrange(len(MODELS))
        return bytes([model]) + triton_spoiling.grpc_answer(MODELS[model], rng)

    def unpack(self, content: bytes) -> Answer:
        return grpc_wire.decode(content)

    def controls(self) -> Sequence[bytes]:
        return [
            bytes([index]) + liars.answer(model).SerializeToString() for index, model in enumerate(MODELS)
        ]


class HttpAnswers(_Answers):
    name = "triton-http"

    def make(self, number: int, rng: random.Random) -> bytes:
        if number < len(HTTP_GIANTS):
            head = HTTP_GIANTS[number]
            return b"\0" + liars.http(head, Inference_Header_Content_Length=len(head))
        model = rng.randrange(len(MODELS))
        return bytes([model]) + triton_spoiling.http_answer(MODELS[model], rng)

    def unpack(self, content: bytes) -> Answer:
        head, _, body = content.partition(b"\r\n\r\n")
        return http_body.decode(body, head.rsplit(b": ", 1)[1].decode("latin-1"))

    def controls(self) -> Sequence[bytes]:
        return [bytes([index]) + liars.http_reply(liars.answer(model)) for index, model in enumerate(MODELS)]


class Descriptions:
    """What Triton says of its models: a contract that can be asked by, or a BackendError."""

    name = "triton-described"
    memory_bound_mb = 128.0  # a megabyte of JSON, unpacked
    time_bound = 8.0
    _KINDS = tuple((wire, aspect) for wire in ("grpc", "http") for aspect in ("config", "metadata"))

    def make(self, number: int, rng: random.Random) -> bytes:
        kind = rng.randrange(len(self._KINDS))
        wire, aspect = self._KINDS[kind]
        if number < len(DESCRIBED_GIANTS):
            return bytes([number % len(self._KINDS)]) + DESCRIBED_GIANTS[number]
        spoil = triton_spoiling.described_as_json if wire == "http" else triton_spoiling.described_as_message
        return bytes([kind]) + spoil(aspect, rng.choice(MODELS), rng)

    def ask(self, data: bytes) -> str:
        wire, aspect = self._KINDS[data[0] % len(self._KINDS)]
        try:
            table = grpc_wire.table_of(aspect, data[1:]) if wire == "grpc" else http_wire.table_of(data[1:])
            if aspect == "metadata":
                hold(isinstance(described(METADATA, table).newest, str), "no version")
            else:
                _check_contract(contract_of("any", "1", described(CONFIG, table), {}))
        except BackendError as error:
            return refused(error)
        return ACCEPTED

    def controls(self) -> Sequence[bytes]:
        config = liars.configuration(liars.ENCODED)
        return (b"\0" + pb.ModelConfigResponse(config=config).SerializeToString(),)

    def close(self) -> None:
        return


GRPC_GIANTS = (b"\x2a\x00", b"\x32\x00", b"\x22\x00", b"\x3a\x00", b"\x0b", b"\x2a\x02\x1a\x00")
HTTP_GIANTS = (
    b'{"outputs":[' + b"0," * 5_000_000 + b"0]}", b"[" * 10_000_000, b'{"outputs":[' + b"{}," * 5_000_000 + b"{}]}",
    b'{"outputs":[{"shape":[' + b"1," * 5_000_000 + b"1]}]}", b"{" + b'"a":{},' * 3_000_000 + b'"b":0}',
)  # fmt: skip
DESCRIBED_GIANTS = tuple(
    pattern * (size // len(pattern))
    for size in (900_000, GIANT_BYTES)
    for pattern in (b"\x22\x00", b"\x2a\x00", b"[", b'{"a":')
)


def check_truth(found: Detections, answer: Answer, model: str) -> None:
    """Read once more with numpy alone."""
    encoded = model == liars.ENCODED
    output = answer.outputs["detections" if encoded else "rows"]
    with np.errstate(all="ignore"):
        rows = np.frombuffer(output.data, "<f4").reshape(-1, 6).astype(float)
    if encoded:
        rows = rows[: next((i for i, row in enumerate(rows) if (row == -1).all()), len(rows))]
        size = tuple(np.frombuffer(answer.outputs["image_size"].data, "<i4"))
        hold((found.image_width, found.image_height) == size, f"a picture of another size than {size}")
    else:
        rows = rows[(rows[:, 4] >= SPEC.score_floor) & (rows[:, 2:4] >= rows[:, :2]).all(axis=1)]
        rows[:, :4] = rows[:, :4].clip(0, (SPEC.input_width, SPEC.input_height) * 2)
        rows = rows[(rows[:, 2:4] - rows[:, :2] >= 1).all(axis=1)]
    check_believed(found, [(*row[:5], int(row[5]), SPEC.labels[int(row[5])]) for row in rows.tolist()])


@cache
def contract(model: str) -> Contract:
    table = MessageToDict(liars.configuration(model), preserving_proto_field_name=True)
    return contract_of(model, "1", described(CONFIG, table), {})


def _check_contract(found: Contract) -> None:
    hold(bool(found.promises) and bool(found.spec.labels), "a contract that promises nothing")
    hold(found.datatype in ("UINT8", "FP32"), f"asked for {found.datatype}")
    hold(not found.encoded or found.promises[0].shape[-2] > 0, "rows without a number")
