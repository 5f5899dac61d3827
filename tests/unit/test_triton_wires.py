"""The two wires without a server: what they send, which foreign errors they know, and how long they wait."""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import suppress

import grpc
import grpc.aio
import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from ai.core.errors import (
    BackendError,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from ai.triton.asking import grpc_wire, http_body, http_wire
from ai.triton.asking.wire import Question, fault
from ai.web.patience import Patience
from ai.web.tracing import passed_on

QUESTION = Question(
    model="m", input_name="image", datatype="UINT8", shape=(1, 3), data=b"abc", outputs=("a", "b"),
    priority=2, request_id="r",
)  # fmt: skip


# --- what is sent -----------------------------------------------------------------------------------------


@given(data=st.one_of(st.binary(max_size=50), st.integers(0, 70_000).map(bytes)))
def test_the_hand_made_end_of_a_request_is_what_protobuf_would_write(data):
    whole = pb.ModelInferRequest(model_name="m", id="r", raw_input_contents=[data])
    whole.inputs.add(name="image", datatype="UINT8", shape=(1, len(data)))
    for name in ("a", "b"):
        whole.outputs.add(name=name)
    whole.parameters["priority"].uint64_param = 2
    whole.parameters["timeout"].int64_param = 1_500_000
    question = QUESTION._replace(data=data, shape=(1, len(data)))
    assert pb.ModelInferRequest.FromString(grpc_wire.encode(question, 1.5)) == whole


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_pictures_may_be_any_kind_of_bytes(kind):
    question = QUESTION._replace(data=kind(b"abc"))
    assert pb.ModelInferRequest.FromString(grpc_wire.encode(question, 1)).raw_input_contents[0] == b"abc"
    assert http_body.encode(question, 1)[0].endswith(b"abc")


def test_a_http_body_is_a_head_and_the_picture():
    body, head_bytes = http_body.encode(QUESTION, 1.5)
    assert body[head_bytes:] == b"abc"
    head = json.loads(body[:head_bytes])
    assert head["id"] == "r"
    assert head["parameters"] == {"timeout": 1_500_000, "priority": 2}
    (tensor,) = head["inputs"]
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("image", "UINT8", [1, 3])
    assert tensor["parameters"] == {"binary_data_size": 3}
    assert head["outputs"] == [{"name": name, "parameters": {"binary_data": True}} for name in "ab"]


def test_outputs_that_are_not_named_are_asked_for_as_bytes_too():
    body, head_bytes = http_body.encode(QUESTION._replace(outputs=(), priority=0, request_id=""), 1)
    head = json.loads(body[:head_bytes])
    assert head["parameters"] == {"timeout": 1_000_000, "binary_data_output": True}
    assert set(head) == {"parameters", "inputs"}


def test_headers_are_passed_on_by_name_and_only_if_they_can_be_sent():
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    headers = {"TraceParent": traceparent, "b3": "x\ny", "cookie": "c", "X-Request-ID": "theirs"}
    assert dict(passed_on(headers, "ours")) == {"traceparent": traceparent, "x-request-id": "ours"}
    assert passed_on(None, "") == ()


# --- what is understood -----------------------------------------------------------------------------------


def test_every_status_of_grpc_has_a_kind():
    assert set(grpc_wire._KINDS) == set(grpc.StatusCode)


def test_every_error_of_grpc_is_caught():
    """Fails when grpc.aio grows an exception that nobody mapped."""
    theirs = [one for _, one in inspect.getmembers(grpc.aio, inspect.isclass) if issubclass(one, Exception)]
    assert len(theirs) >= 5
    assert all(issubclass(one, (grpc.aio.AioRpcError, grpc.aio.BaseError)) for one in theirs)


def test_every_error_of_httpcore_is_caught():
    """Fails when httpcore grows an exception that nobody mapped."""
    theirs = [one for _, one in inspect.getmembers(httpcore, inspect.isclass) if issubclass(one, Exception)]
    assert len(theirs) >= 10
    for one in theirs:
        assert issubclass(one, tuple(http_wire.TRANSPORT_ERRORS)), one
        assert isinstance(http_wire._transport_fault(one("so"), 1.0), BackendError)


@pytest.mark.parametrize(
    ("kind", "text", "becomes"),
    [
        (Unavailable, "Exceeds maximum queue size", Overloaded),
        (Unavailable, "[request id: abc] Exceeds maximum queue size", Overloaded),
        (Unavailable, "[request id: <id_unknown>] Request timeout expired", Overloaded),
        (Unavailable, "Socket closed", Unavailable),
        (Unavailable, "Not: Exceeds maximum queue size", Unavailable),
        (Unavailable, "This protocol is restricted, expecting header 'x'", ServerError),
        (ServerError, "Exceeds maximum queue size", ServerError),
        (Refused, "requested model 'x' is not available", ModelNotFound),
        (Refused, "unexpected inference input 'x'", Refused),
    ],
)
def test_triton_s_sentences_say_more_than_its_statuses(kind, text, becomes):
    assert type(fault(kind, "X", text)) is becomes


def test_a_traceback_is_not_passed_on():
    text = "Failed to process\n\nAt:\n  /srv/models/model.py(16): execute"
    assert str(fault(ServerError, "INTERNAL", text)) == "Triton says INTERNAL: Failed to process"
    assert len(str(fault(ServerError, "INTERNAL", "x" * 9999))) < 400


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=5), st.integers(-5, 300).map(str)))
def test_any_body_is_an_answer_or_refused(content, head_bytes):
    with suppress(InvalidModelOutput):
        http_body.decode(content, head_bytes)


# --- patience ---------------------------------------------------------------------------------------------


async def test_a_wait_ends_at_the_deadline_however_many_there_were():
    patience = Patience(0.1)
    begun = asyncio.get_running_loop().time()

    async def wait_again_and_again() -> None:
        while True:
            async with patience.limit(httpcore.ReadTimeout):
                await asyncio.sleep(0.03)

    with pytest.raises(httpcore.ReadTimeout):
        await wait_again_and_again()
    assert 0.09 < asyncio.get_running_loop().time() - begun < 0.2


async def test_patience_that_is_ended_ends_the_wait_and_all_later_ones():
    patience = Patience(60)

    async def wait() -> None:
        async with patience.limit(httpcore.ReadTimeout):
            await asyncio.sleep(60)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    patience.end()
    with pytest.raises(httpcore.ReadTimeout):
        await asyncio.wait_for(waiting, 1)
    with pytest.raises(httpcore.ReadTimeout):
        await asyncio.wait_for(wait(), 1)


async def test_a_caller_that_is_cancelled_is_cancelled_and_not_late():
    patience = Patience(60)

    async def wait() -> None:
        async with patience.limit(httpcore.ReadTimeout):
            await asyncio.sleep(60)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
