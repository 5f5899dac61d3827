"""Every row of the table of failures, produced by a real tritonserver and seen by TritonClient over both protocols.

What was seen is recorded in tests/golden/triton_statuses.json. Where another server says something else, look at
the client's tables first; then `RECORD_GOLDEN=1 pytest tests/integration/test_triton_failures.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai.core.errors import BackendError, DeadlineExceeded, Unavailable
from ai.core.spec import DetectorSpec
from ai.triton.asking.wire import Question
from ai.triton.client import Detected, TritonClient
from tests import scripted
from tests.scripted import IMPATIENT, LONE, TIMEOUT_S, client_of, occupied, picture, until_pending
from tests.services import free_port
from tests.tritons import RunningTriton, running_triton

pytestmark = pytest.mark.beside

GOLDEN = Path(__file__).parents[1] / "golden" / "triton_statuses.json"
PROTOCOLS = ("grpc", "http")


@pytest.fixture(scope="module")
def triton(tmp_path_factory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    scripted.jpeg(repository, LONE)
    scripted.jpeg(repository, IMPATIENT, queue_timeout_us=100_000)
    with running_triton(repository) as server:
        yield server
        server.kill()


# --- the table --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lab:
    """Where failures are made."""

    triton: RunningTriton
    protocol: str
    client: TritonClient
    folder: Path

    async def detect(
        self, model: str = LONE, timeout_s: float = TIMEOUT_S, request_id: str = "abc", **what: Any
    ) -> Detected:
        return await self.client.detect(model, picture(**what), timeout_s=timeout_s, request_id=request_id)

    async def ask(self, **other: Any) -> object:
        """A question that the client itself would not ask."""
        usual = Question(
            LONE, "image", "UINT8", (1, 2), b"{}", ("detections", "image_size"), request_id="abc"
        )
        return await self.client._wire.infer(usual._replace(**other), TIMEOUT_S)


async def _nobody_listens(lab: Lab) -> None:
    async with TritonClient.at(f"127.0.0.1:{free_port()}", lab.protocol) as client:
        await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)


async def _queue_full(lab: Lab) -> None:
    async with occupied(lab.triton, lab.client, lab.folder):
        waiting = [asyncio.create_task(lab.detect()) for _ in range(4)]
        await until_pending(lab.triton, 4)
        one_too_many = await asyncio.gather(lab.detect(), return_exceptions=True)
    await asyncio.gather(*waiting)
    raise one_too_many[0]


async def _waited_too_long(lab: Lab) -> None:
    """Longer than the model's own policy allows, not longer than the caller does."""
    async with occupied(lab.triton, lab.client, lab.folder, IMPATIENT):
        late = asyncio.create_task(lab.detect(IMPATIENT))
        await until_pending(lab.triton, 1, IMPATIENT)
        await asyncio.sleep(0.11)
    await late


async def _hung(lab: Lab) -> None:
    async with occupied(lab.triton, lab.client, lab.folder):
        late = await asyncio.gather(lab.detect(timeout_s=0.1), return_exceptions=True)
    raise late[0]


async def _unloaded(lab: Lab) -> None:
    await lab.client.unload_model(IMPATIENT)
    while await lab.client.is_model_ready(IMPATIENT):
        await asyncio.sleep(0.01)
    try:
        await lab.detect(IMPATIENT)
    finally:
        await lab.client.load_model(IMPATIENT)


async def _closed_to_strangers(lab: Lab) -> None:
    async with client_of(lab.triton, lab.protocol, admin_key=None) as stranger:
        await stranger.repository_index()


SITUATIONS: dict[str, Callable[[Lab], Awaitable[object]]] = {
    "nobody listens": _nobody_listens,
    "the queue is full": _queue_full,
    "it waited longer than the queue allows": _waited_too_long,
    "the model hangs": _hung,
    "the model says UNAVAILABLE": lambda lab: lab.detect(error="UNAVAILABLE"),
    "the model says INTERNAL": lambda lab: lab.detect(error="INTERNAL"),
    "the model raises": lambda lab: lab.detect(**{"raise": True}),
    "the model says UNKNOWN": lambda lab: lab.detect(error="UNKNOWN"),
    "the model says UNSUPPORTED": lambda lab: lab.detect(error="UNSUPPORTED"),
    "the model says ALREADY_EXISTS": lambda lab: lab.detect(error="ALREADY_EXISTS"),
    "the model says CANCELLED": lambda lab: lab.detect(error="CANCELLED"),
    "the model says NOT_FOUND": lambda lab: lab.detect(error="NOT_FOUND"),
    "the model says INVALID_ARG: a bad picture": lambda lab: lab.client.detect(
        LONE, b"no picture", timeout_s=TIMEOUT_S
    ),
    "no such model": lambda lab: lab.detect("no_such"),
    "no such model, asked without its contract": lambda lab: lab.ask(model="no_such"),
    "the model is unloaded": _unloaded,
    "an input of another name": lambda lab: lab.ask(input_name="other"),
    "an input of another type": lambda lab: lab.ask(datatype="FP32"),
    "an input of another length": lambda lab: lab.ask(shape=(1, 3)),
    "an input without its batch": lambda lab: lab.ask(shape=(2,)),
    "an output that it does not have": lambda lab: lab.ask(outputs=("other",)),
    "an output is missing": lambda lab: lab.detect(drop=1),
    "statistics of no such model": lambda lab: lab.client.statistics("no_such"),
    "metadata of no such model": lambda lab: lab.client.model_metadata("no_such"),
    "loading what is not there": lambda lab: lab.client.load_model("no_such"),
    "a restricted endpoint without the key": _closed_to_strangers,
}


async def test_each_failure_is_named_and_said_as_recorded(triton, tmp_path):
    seen: dict[str, dict[str, str]] = {}
    for protocol in PROTOCOLS:
        (tmp_path / protocol).mkdir()
        async with client_of(triton, protocol) as client:
            lab = Lab(triton, protocol, client, tmp_path / protocol)
            for name, fail in SITUATIONS.items():
                seen.setdefault(name, {})[protocol] = await _said(fail(lab))
    server = httpx.get(f"http://{triton.http_url}/v2", trust_env=False).json()
    record = {"tritonserver": server["version"], "failures": seen}
    if os.environ.get("RECORD_GOLDEN"):
        GOLDEN.write_text(json.dumps(record, indent=1) + "\n")
    assert record == json.loads(GOLDEN.read_text())


async def _said(failing: Awaitable[object]) -> str:
    try:
        await failing
    except BackendError as error:
        text, *_ = str(error).split("; last error:")  # gRPC's own words about an address
        return f"{type(error).__name__}: {text}"
    return "nothing failed"


# --- what comes and goes ----------------------------------------------------------------------------------


async def test_a_dead_model_is_found_by_asking_it_though_triton_calls_it_ready(triton):
    async with client_of(triton, "grpc") as client, client_of(triton, "http") as other:
        assert await client.is_healthy(LONE)
        for one, status in ((client, "INTERNAL"), (other, "500")):
            said = await _said(one.detect(LONE, picture(exit=True), timeout_s=TIMEOUT_S))
            assert said == f"ServerError: Triton says {status}: Stub process '{LONE}_0' is not healthy."
            assert not await one.is_healthy(LONE, timeout_s=5)
            assert await one.is_model_ready(LONE)
    triton.kill()  # with a dead model it would take its whole time to end
    triton.restart()


async def test_after_kill_and_restart_it_answers_at_most_one_wait_to_reconnect_after_a_new_client(triton):
    clients = {protocol: client_of(triton, protocol) for protocol in PROTOCOLS}
    for client in clients.values():
        await client.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    callers = {protocol: asyncio.create_task(_call_on(client)) for protocol, client in clients.items()}
    await asyncio.to_thread(triton.kill)
    await asyncio.to_thread(triton.restart)
    async with client_of(triton, "grpc") as new:
        await new.detect(LONE, picture(), timeout_s=TIMEOUT_S)
    new_at = time.monotonic()
    for protocol, caller in callers.items():
        failures, answered_at = await asyncio.wait_for(caller, 20)
        assert {type(error) for error in failures} <= {Unavailable, DeadlineExceeded}
        assert any(isinstance(error, Unavailable) for error in failures), protocol
        assert answered_at - new_at < 1.0  # 0.8 s and a fifth; gRPC's own would be up to 120 s
    for client in clients.values():
        await client.close()


async def _call_on(client: TritonClient) -> tuple[list[BackendError], float]:
    """Again and again, until it has failed and been answered again: the failures, and when that was."""
    failures: list[BackendError] = []
    while True:
        try:
            await client.detect(LONE, picture(), timeout_s=2)
            if failures:
                return failures, time.monotonic()
        except BackendError as error:
            failures.append(error)
        await asyncio.sleep(0.01)


async def test_a_connection_lost_in_the_middle_of_a_call_is_unavailable(triton, tmp_path):
    begun = tmp_path / "begun"
    for protocol in PROTOCOLS:
        async with client_of(triton, protocol) as client:
            what = picture(touch=str(begun), wait_for=str(tmp_path / "never"))
            call = asyncio.create_task(client.detect(LONE, what, timeout_s=TIMEOUT_S))
            await scripted.wait_for(begun)
            triton.kill()
            with pytest.raises(Unavailable):
                await call
        begun.unlink()
        triton.restart()


async def test_a_new_version_is_read_by_its_own_spec(triton):
    """Somebody else loaded it: the client sees another version answer, and asks what that one means."""
    renamed = DetectorSpec.from_table({**scripted.SPEC.to_table(), "labels": ["lynx", "wolf"]})
    async with client_of(triton, "grpc") as client, client_of(triton, "http") as other:
        for one in (client, other):
            found = await one.detect(LONE, picture(), timeout_s=TIMEOUT_S)
            assert (found.detections.items[0].label, found.model_version) == ("dog", "1")
        scripted.jpeg(triton.repository, LONE, spec=renamed, version=2)
        async with client_of(triton, "grpc") as somebody:
            await somebody.load_model(LONE)
        for one in (client, other):
            found = await one.detect(LONE, picture(), timeout_s=TIMEOUT_S)
            assert (found.detections.items[0].label, found.model_version) == ("wolf", "2")
