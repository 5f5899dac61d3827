"""A server that lies, over both protocols: whatever it sends, the client gives true detections or one of our errors."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from ai.core.sample import sample_jpeg
from ai.triton.asking.wire import MAX_ANSWER_BYTES
from ai.triton.client import Detected, TritonClient
from tests.liars import ENCODED, PIXELS, GrpcLiar, HttpLiar, answer, configuration, http, metadata
from tests.scripted import SPEC

pytestmark = pytest.mark.beside

many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Stage:
    """A liar, and a client that believes to speak to a Triton; both on one event loop."""

    protocol: str
    liar: Any
    url: str
    runner: asyncio.Runner
    client: TritonClient

    def detect(self, model: str = ENCODED, timeout_s: float = 10, **options: Any) -> Detected:
        return self.runner.run(self.client.detect(model, sample_jpeg(), timeout_s=timeout_s, **options))

    def outcome(self, model: str = ENCODED) -> Detected | BackendError:
        """Anything else that is raised fails the test."""
        try:
            return self.detect(model)
        except BackendError as error:
            return error

    def meet_a_stranger(self) -> Detected | BackendError:
        """A client that knows nothing of the server yet."""

        async def ask() -> Detected | BackendError:
            async with TritonClient.at(self.url, self.protocol) as client:
                try:
                    return await client.detect(ENCODED, sample_jpeg(), timeout_s=10)
                except BackendError as error:
                    return error

        return self.runner.run(ask())


@pytest.fixture(scope="module", params=["grpc", "http"])
def built(request) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        liar = GrpcLiar() if request.param == "grpc" else HttpLiar()
        url = runner.run(liar.start())

        async def connect() -> TritonClient:
            return TritonClient.at(url, request.param)

        client = runner.run(connect())
        yield Stage(request.param, liar, url, runner, client)
        runner.run(client.close())
        runner.run(liar.stop())


over_grpc = pytest.mark.parametrize("built", ["grpc"], indirect=True)
over_http = pytest.mark.parametrize("built", ["http"], indirect=True)


@pytest.fixture
def stage(built) -> Stage:
    built.liar.tell_the_truth()
    for model in (ENCODED, PIXELS):
        assert len(built.detect(model).detections) == 1, "the liar can tell the truth, and is believed"
    return built


# --- lies by name -----------------------------------------------------------------------------------------

Lie = Callable[[pb.ModelInferResponse], None]


def rows(change: Callable[[np.ndarray], None]) -> Lie:
    def lie(response: pb.ModelInferResponse) -> None:
        table = np.frombuffer(response.raw_output_contents[0], np.float32).reshape(-1, 6).copy()
        change(table)
        response.raw_output_contents[0] = table.tobytes()

    return lie


def cell(row: int, column: int, value: float) -> Lie:
    def change(table: np.ndarray) -> None:
        table[row, column] = value

    return rows(change)


def content(index: int, change: Callable[[bytes], bytes]) -> Lie:
    def lie(response: pb.ModelInferResponse) -> None:
        response.raw_output_contents[index] = change(response.raw_output_contents[index])

    return lie


def declared(index: int, field: str, value: Any) -> Lie:
    def lie(response: pb.ModelInferResponse) -> None:
        if field == "shape":
            response.outputs[index].shape[:] = value
        else:
            setattr(response.outputs[index], field, value)

    return lie


def _shift(table: np.ndarray) -> None:
    table[1:] = table[:-1].copy()
    table[0] = -1


def _drop(index: int) -> Lie:
    def lie(response: pb.ModelInferResponse) -> None:
        del response.outputs[index], response.raw_output_contents[index]

    return lie


def _size(*values: int) -> Lie:
    return content(1, lambda _: np.array(values, np.int32).tobytes())


LIES: dict[str, Lie] = {
    "no outputs": lambda response: (
        response.ClearField("outputs"),
        response.ClearField("raw_output_contents"),
    ),
    "detections missing": _drop(0),
    "size missing": _drop(1),
    "renamed": declared(0, "name", "other"),
    "short": content(0, lambda data: data[:-24]),
    "odd length": content(0, lambda data: data[:-1]),
    "empty": content(0, lambda _: b""),
    "too long": content(0, lambda data: data + data[-24:]),
    "mistyped": declared(0, "datatype", "FP64"),
    "typed as nothing": declared(0, "datatype", ""),
    "size as floats": declared(1, "datatype", "FP32"),
    "size too short": content(1, lambda data: data[:4]),
    "fewer rows": declared(0, "shape", [1, 4, 6]),
    "no rows": lambda response: (
        declared(0, "shape", [1, 0, 6])(response),
        content(0, lambda _: b"")(response),
    ),
    "negative shape": declared(0, "shape", [-1, -5, 6]),
    "no batch": declared(0, "shape", [5, 6]),
    "two pictures": declared(0, "shape", [2, 5, 6]),
    "huge shape": declared(0, "shape", [1, 2**62, 6]),
    "too few contents": lambda response: response.raw_output_contents.pop(),
    "too many contents": lambda response: response.raw_output_contents.append(b"more"),
    "one name twice": declared(1, "name", "detections"),
    "all zeros": content(0, lambda data: bytes(len(data))),
    "nan box": cell(0, 2, math.nan),
    "nan score": cell(0, 4, math.nan),
    "infinite box": cell(0, 2, math.inf),
    "nan instead of filling": cell(1, 0, math.nan),
    "inverted": cell(0, 2, 5),
    "no width": cell(0, 2, 10),
    "left of the picture": cell(0, 0, -50),
    "below the picture": cell(0, 3, 5000),
    "score over one": cell(0, 4, 1.5),
    "negative score": cell(0, 4, -0.5),
    "score under the floor": cell(0, 4, 0.01),
    "no such class": cell(0, 5, 2),
    "negative class": cell(0, 5, -1),
    "class and a half": cell(0, 5, 0.5),
    "filled with zeros": rows(lambda table: table[1:].fill(0)),
    "a row behind the filling": rows(_shift),
    "half a filling": cell(4, 5, 0),
    "no picture": _size(0, 480),
    "negative picture": _size(-640, 480),
    "impossible picture": _size(2**31 - 1, 480),
    "smaller picture": _size(64, 48),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_lie_is_not_believed(stage, lie):
    response = answer()
    lie(response)
    stage.liar.say(response)
    outcome = stage.outcome()
    assert isinstance(outcome, InvalidModelOutput), outcome
    assert len(str(outcome)) < 600


RAW_LIES: dict[str, Lie] = {
    "missing": _drop(0),
    "short": content(0, lambda data: data[:-24]),
    "odd length": content(0, lambda data: data[:-1]),
    "mistyped": declared(0, "datatype", "INT32"),
    "all zeros": content(0, lambda data: bytes(len(data))),
    "nan score": cell(0, 4, math.nan),
    "nan box": cell(0, 0, math.nan),
    "score over one": cell(0, 4, 2.0),
    "no such class": cell(0, 5, 7),
    "nothing but inverted boxes": cell(0, 2, 5),
    "another layout": declared(0, "shape", [1, 6, 5]),
}


@pytest.mark.parametrize("lie", RAW_LIES.values(), ids=RAW_LIES.keys())
def test_a_lie_of_a_model_that_takes_pixels_is_not_believed(stage, lie):
    response = answer(PIXELS)
    lie(response)
    stage.liar.say(response)
    assert isinstance(stage.outcome(PIXELS), InvalidModelOutput)


# --- lies by chance ---------------------------------------------------------------------------------------

some_float = st.one_of(st.floats(width=32), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 100.0, 640.0]))
some_bytes = st.one_of(
    st.binary(max_size=200),
    st.lists(some_float, max_size=40).map(lambda values: np.array(values, np.float32).tobytes()),
    st.lists(some_float, min_size=30, max_size=30).map(lambda values: np.array(values, np.float32).tobytes()),
)
some_shape = st.one_of(
    st.sampled_from([[1, 5, 6], [1, 2], [5, 6], [], [0], [1, 0, 6]]),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
)
some_name = st.sampled_from(["detections", "image_size", "rows", "other", ""])
some_type = st.sampled_from(["FP32", "INT32", "FP64", "BYTES", "", "\0"])


@st.composite
def changed(draw, honest: pb.ModelInferResponse) -> pb.ModelInferResponse:
    """An honest answer after some changes; none is a possibility."""
    response = pb.ModelInferResponse()
    response.CopyFrom(honest)
    for _ in range(draw(st.integers(0, 3))):
        draw(st.sampled_from(CHANGES))(draw, response)
    return response


def _set_floats(draw, response) -> None:
    if not response.raw_output_contents or len(response.raw_output_contents[0]) != 5 * 6 * 4:
        return
    for _ in range(draw(st.integers(1, 4))):
        cell(draw(st.integers(0, 4)), draw(st.integers(0, 5)), draw(some_float))(response)


def _set_content(draw, response) -> None:
    if not response.raw_output_contents:
        return
    index = draw(st.integers(0, len(response.raw_output_contents) - 1))
    response.raw_output_contents[index] = draw(some_bytes)


def _set_declared(draw, response) -> None:
    output = draw(st.sampled_from(list(response.outputs)))
    output.shape[:] = draw(some_shape)
    output.datatype, output.name = draw(some_type), draw(some_name)


def _add_output(draw, response) -> None:
    response.outputs.add(name=draw(some_name), datatype=draw(some_type), shape=draw(some_shape))
    response.raw_output_contents.append(draw(some_bytes))


def _add_content(draw, response) -> None:
    response.raw_output_contents.append(draw(some_bytes))


def _set_version(draw, response) -> None:
    response.model_version = draw(st.text(max_size=5))


CHANGES = [_set_floats, _set_floats, _set_content, _set_declared, _add_output, _add_content, _set_version]


def check(outcome: Detected | BackendError, response: pb.ModelInferResponse, model: str) -> None:
    if isinstance(outcome, BackendError):
        assert isinstance(outcome, (InvalidModelOutput, ModelNotFound, Unavailable))
        return
    found = outcome.detections
    for one in found:
        assert all(map(math.isfinite, (one.x1, one.y1, one.x2, one.y2, one.score)))
        assert one.x1 < one.x2 <= found.image_width + 1
        assert one.y1 < one.y2 <= found.image_height + 1
        assert np.float32(SPEC.score_floor) <= one.score <= 1
        assert one.label == SPEC.labels[one.class_id]
    if not len(found) and model == ENCODED:
        names = [output.name for output in response.outputs]
        said = np.frombuffer(response.raw_output_contents[names.index("detections")], np.float32)
        assert (said == -1).all(), "only rows of -1 are an empty scene"


@many
@given(response=changed(answer()))
def test_whatever_is_answered_is_true_or_an_error_of_ours(stage, response):
    stage.liar.say(response)
    check(stage.outcome(), response, ENCODED)


@many
@given(response=changed(answer(PIXELS)))
def test_whatever_a_model_that_takes_pixels_answers_is_true_or_an_error_of_ours(stage, response):
    stage.liar.say(response)
    check(stage.outcome(PIXELS), response, PIXELS)


@st.composite
def damaged(draw, honest: bytes) -> bytes:
    """Bytes that were right once: some overwritten, cut or doubled; or never were."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    data = bytearray(honest)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["set", "cut", "insert"])):
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 20))]
            case _:
                data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


def honest_bytes(stage: Stage) -> bytes:
    stage.liar.say(answer())
    return stage.liar.answer if stage.protocol == "grpc" else stage.liar.reply


@many
@given(data=st.data())
def test_damaged_bytes_are_never_more_than_an_error_of_ours(stage, data):
    reply = data.draw(damaged(honest_bytes(stage)))
    if stage.protocol == "grpc":
        stage.liar.answer = reply
    else:
        stage.liar.reply = reply
    outcome = stage.outcome()
    if isinstance(outcome, Detected):
        assert all(one.label in SPEC.labels for one in outcome.detections)


@many
@given(data=st.data())
def test_a_model_may_be_described_by_anything(stage, data):
    """A stranger that meets a server which cannot describe its models says so."""
    if stage.protocol == "grpc":
        honest = pb.ModelConfigResponse(config=configuration(ENCODED)).SerializeToString()
        description = metadata(ENCODED).SerializeToString()
    else:
        honest = (
            b'{"max_batch_size": 8, "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": [-1]}]}'
        )
        description = b'{"name": "encoded", "versions": ["1"], "platform": "liar"}'
    stage.liar.config = data.draw(damaged(honest))
    stage.liar.metadata = data.draw(st.one_of(st.just(description), damaged(description)))
    assert isinstance(stage.meet_a_stranger(), (Detected, BackendError))


# --- other ways to be impolite ----------------------------------------------------------------------------


def test_an_answer_that_is_too_large_is_refused_before_it_is_held(stage):
    response = answer()
    response.raw_output_contents[0] = bytes(MAX_ANSWER_BYTES)
    stage.liar.say(response)
    outcome = stage.outcome()
    assert isinstance(outcome, InvalidModelOutput)
    assert "too large" in str(outcome)
    stage.liar.tell_the_truth()
    assert isinstance(stage.outcome(), Detected)


GRPC_STATUSES = {
    "UNAVAILABLE": Unavailable, "DEADLINE_EXCEEDED": DeadlineExceeded, "NOT_FOUND": ModelNotFound,
    "INVALID_ARGUMENT": Refused, "RESOURCE_EXHAUSTED": Overloaded,
}  # fmt: skip


@over_grpc
def test_every_status_of_grpc_is_one_of_ours(built):
    for status in grpc.StatusCode:
        if status is grpc.StatusCode.OK:
            continue  # a server cannot abort with it
        built.liar.tell_the_truth()
        built.liar.status = (status, "a sentence\nand a traceback")
        outcome = built.outcome()
        assert type(outcome) is GRPC_STATUSES.get(status.name, ServerError), status
        if status is not grpc.StatusCode.DEADLINE_EXCEEDED:
            assert str(outcome) == f"Triton says {status.name}: a sentence"


HTTP_STATUSES = {
    400: Refused, 404: ModelNotFound, 408: DeadlineExceeded, 413: Refused, 422: Refused, 429: Overloaded,
    502: Unavailable, 503: Unavailable, 504: DeadlineExceeded,
}  # fmt: skip


@over_http
def test_every_status_of_http_is_one_of_ours(built):
    for status in (*range(201, 207), *range(301, 309), *range(400, 432), *range(500, 512), 599):
        for body in (b'{"error": "a sentence"}', b"a sentence", b'{"error": {}}', b"[]", b"", b"\xff" * 9999):
            built.liar.tell_the_truth()
            built.liar.reply = http(body, f"{status} So")
            outcome = built.outcome()
            assert type(outcome) is HTTP_STATUSES.get(status, ServerError), status
            assert len(str(outcome)) < 400


HTTP_LIES: dict[str, tuple[bytes, type[BackendError]]] = {
    "nothing": (b"", Unavailable),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Unavailable),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", Unavailable),
    "half a body": (http(b"{}", Content_Length=100), Unavailable),
    "not binary": (http(b'{"outputs": []}'), InvalidModelOutput),
    "a head longer than the body": (http(b"{}", Inference_Header_Content_Length=3), InvalidModelOutput),
    "a negative head": (http(b"{}", Inference_Header_Content_Length=-1), InvalidModelOutput),
    "a head of words": (http(b"{}", Inference_Header_Content_Length="two"), InvalidModelOutput),
    "a head of another script": (
        http(b"{}", Inference_Header_Content_Length="\xb2"), InvalidModelOutput),
    "no JSON": (http(b"{{", Inference_Header_Content_Length=2), InvalidModelOutput),
    "JSON without end": (http(b"[" * 9999, Inference_Header_Content_Length=9999), InvalidModelOutput),
    "compressed": (http(b"\x1f\x8b", Content_Encoding="gzip"), InvalidModelOutput),
}  # fmt: skip


@over_http
@pytest.mark.parametrize(("reply", "kind"), HTTP_LIES.values(), ids=HTTP_LIES.keys())
def test_what_is_no_answer_over_http_is_an_error_of_ours(built, reply, kind):
    built.liar.tell_the_truth()
    built.liar.reply = reply
    assert type(built.outcome()) is kind


@pytest.mark.alone
@over_http
def test_a_server_that_drips_is_ended_by_the_deadline(stage):
    """Each byte comes in time; all of them do not."""
    stage.liar.drip_s = 0.02
    begun = time.perf_counter()
    with pytest.raises(DeadlineExceeded):
        stage.detect(timeout_s=0.3)
    assert time.perf_counter() - begun < 0.4
    stage.liar.tell_the_truth()
    assert isinstance(stage.outcome(), Detected)


# --- what is passed on ------------------------------------------------------------------------------------


def test_trace_headers_request_id_priority_and_time_are_passed_on(stage):
    headers = {
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
        "Authorization": "secret",
        "baggage": "broken\r\nInjected: yes",
        "grpc-timeout": "1S",
    }
    stage.detect(timeout_s=8, priority=2, request_id="r-1", headers=headers)
    sent = stage.liar.headers
    assert sent["traceparent"] == headers["Traceparent"]
    assert sent["tracestate"] == "a=b"
    assert sent["x-request-id"] == "r-1"
    assert not {"authorization", "baggage", "injected"} & set(sent)
    if stage.protocol == "grpc":
        asked = stage.liar.asked
        assert (asked.id, asked.parameters["priority"].uint64_param) == ("r-1", 2)
        timeout_us = asked.parameters["timeout"].int64_param
    else:
        asked = stage.liar.asked
        assert (asked["id"], asked["parameters"]["priority"]) == ("r-1", 2)
        timeout_us = asked["parameters"]["timeout"]
    assert 7_000_000 < timeout_us <= 8_000_000


def test_a_call_without_any_sends_none(stage):
    stage.detect()
    assert "x-request-id" not in stage.liar.headers
    assert "traceparent" not in stage.liar.headers
    parameters = stage.liar.asked.parameters if stage.protocol == "grpc" else stage.liar.asked["parameters"]
    assert "priority" not in parameters


def test_an_id_that_no_wire_can_carry_is_left_out(stage):
    for unsendable in ("caf\xe9", "a\r\nb", "\ud800"):
        assert stage.detect(request_id=unsendable).detections


# --- several servers --------------------------------------------------------------------------------------


async def test_several_servers_behind_one_target_take_turns():
    liars = [GrpcLiar() for _ in range(3)]
    ports = [(await liar.start()) for liar in liars]
    async with TritonClient.at("ipv4:" + ",".join(ports)) as client:
        await _until_each_is_asked(client, liars)
        answered = [liar.answered for liar in liars]
        for _ in range(30):
            await client.detect(ENCODED, b"picture", timeout_s=10)
        assert [liar.answered - before for liar, before in zip(liars, answered, strict=True)] == [10, 10, 10]
        await liars[0].stop()
        outcomes = await client.detect_batch(ENCODED, [b"picture"] * 30, timeout_s=10)
        assert sum(isinstance(outcome, Detected) for outcome in outcomes) >= 20
    for liar in liars[1:]:
        await liar.stop()


async def _until_each_is_asked(client: TritonClient, liars: list[GrpcLiar]) -> None:
    """Connections come up one by one."""
    async with asyncio.timeout(10):
        while not all(liar.answered for liar in liars):
            await client.detect(ENCODED, b"picture", timeout_s=10)


async def test_a_client_may_be_closed_twice():
    for protocol, liar in (("grpc", GrpcLiar()), ("http", HttpLiar())):
        client = TritonClient.at(await liar.start(), protocol)
        await client.detect(PIXELS, sample_jpeg(), timeout_s=10)
        await client.close()
        await client.close()
        for model in (ENCODED, PIXELS):
            with pytest.raises(Unavailable, match="closed"):
                await client.detect(model, sample_jpeg(), timeout_s=10)
        await liar.stop()
