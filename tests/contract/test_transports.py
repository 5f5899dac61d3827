"""What every side promises: the scripted one, a real legacy service, and a real Triton over both protocols."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ai.core.errors import BackendError, DeadlineExceeded, ModelNotFound, Overloaded, Refused, Unavailable
from ai.core.sample import sample_jpeg
from backend.transports.base import Ask, Found, Transport
from backend.transports.fake import FakeTransport, Hang
from backend.transports.legacy import LegacyTransport
from backend.transports.triton import TritonTarget, TritonTransport
from tests import scripted
from tests.http_servers import ScriptedEngine, health_of, legacy_service, sockets_to, until
from tests.scripted import picture
from tests.services import free_port
from tests.tritons import RunningTriton, python_model, running_triton

PATIENCE_S = 20.0  # of calls that are meant to be answered
GENEROUS_S = 10.0  # tells a hang from none
SHALLOW, DEEP = "shallow", "deep"  # a queue of a few places, and one of many
STORM = 200
PLACES = 4  # of SHALLOW's queue


@dataclass
class Side:
    """One side in the hands of a test."""

    transport: Transport
    address: str = ""  # "": none
    nobody: Transport | None = None  # the same where nobody listens
    hung: set[Hang] = field(default_factory=set)

    def ask(self, image: Any = None, timeout_s: float = PATIENCE_S, detector: str = DEEP, **more: Any) -> Ask:
        return Ask(detector, sample_jpeg() if image is None else image, timeout_s, **more)

    def sockets(self) -> int:
        return sockets_to(self.address) if self.address else 0

    def refuses(self) -> None:
        """The next picture is to be a bad one."""

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Any]:
        """What is asked within it with the picture that it yields is not answered before its end."""
        yield None

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """There is no place for one more of SHALLOW."""
        yield


class FakeSide(Side):
    def __init__(self) -> None:
        self.fake = FakeTransport(detectors={SHALLOW, DEEP})
        super().__init__(self.fake)
        self.nobody = FakeTransport().always(Unavailable("planned"))

    def refuses(self) -> None:
        self.fake.then(Refused("planned"))

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Any]:
        hang = Hang()
        self.fake.always(hang)
        yield None
        hang.release()
        self.fake.always(hang.then)

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        self.fake.then(Overloaded("planned"))
        yield


@dataclass(frozen=True)
class Legacy:
    shallow: str
    deep: str
    shallow_engine: ScriptedEngine
    deep_engine: ScriptedEngine


class LegacySide(Side):
    def __init__(self, legacy: Legacy) -> None:
        super().__init__(
            LegacyTransport({SHALLOW: legacy.shallow, DEEP: legacy.deep}),
            legacy.deep,
            LegacyTransport({DEEP: f"http://127.0.0.1:{free_port()}"}),
        )
        self.legacy = legacy

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Any]:
        self.legacy.deep_engine.go.clear()
        try:
            yield None
        finally:
            self.legacy.deep_engine.go.set()

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        self.legacy.shallow_engine.go.clear()
        async with occupied(self, self.ask(detector=SHALLOW), 2):
            try:
                await until(lambda: health_of(self.legacy.shallow)["in_flight"] == 2, "it never became full")
                yield
            finally:
                self.legacy.shallow_engine.go.set()


class TritonSide(Side):
    def __init__(self, triton: RunningTriton, protocol: Any, folder: Path) -> None:
        models = {SHALLOW: SHALLOW, DEEP: DEEP, "not_loaded": "no_such"}
        target = TritonTarget(triton.grpc_url, triton.http_url, protocol)
        nowhere = f"127.0.0.1:{free_port()}"
        super().__init__(
            TritonTransport(target, models),
            target.address,
            TritonTransport(TritonTarget(nowhere, nowhere, protocol), models),
        )
        self.triton, self.folder = triton, folder

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Any]:
        release = self.folder / secrets.token_hex(4)
        try:
            yield picture(wait_for=str(release))
        finally:
            release.touch()

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        begun, release = self.folder / "begun", self.folder / "release"
        first = self.ask(picture(touch=str(begun), wait_for=str(release)), detector=SHALLOW)
        async with occupied(self, first, 1):
            await scripted.wait_for(begun)
            async with occupied(self, self.ask(detector=SHALLOW), PLACES):
                try:
                    await scripted.until_pending(self.triton, PLACES, SHALLOW)
                    yield
                finally:
                    release.touch()


def model(repository: Path, name: str, batching: str) -> None:
    config = f"""
        max_batch_size: 1
        input {{ name: "image" data_type: TYPE_UINT8 dims: [-1] allow_ragged_batch: true }}
        output {{ name: "detections" data_type: TYPE_FP32 dims: [{scripted.SPEC.max_detections}, 6] }}
        output {{ name: "image_size" data_type: TYPE_INT32 dims: [2] }}
        {batching}
        {scripted.carried(scripted.SPEC)}
    """
    python_model(repository, name, scripted.CODE, config)


@asynccontextmanager
async def occupied(side: Side, ask: Ask, calls: int) -> AsyncIterator[None]:
    """So many calls are under way; they are waited for at the end, whatever becomes of them."""
    tasks = [asyncio.create_task(side.transport.detect(ask)) for _ in range(calls)]
    try:
        yield
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def two_services() -> Iterator[Legacy]:
    shallow, deep = ScriptedEngine(), ScriptedEngine()
    with legacy_service(shallow, max_in_flight=2) as one, legacy_service(deep, max_in_flight=512) as other:
        yield Legacy(one, other, shallow, deep)


@pytest.fixture(scope="module")
def legacy() -> Iterator[Legacy]:
    with two_services() as legacy:
        yield legacy


@pytest.fixture(scope="module")
def triton(tmp_path_factory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    # With a queue policy this Triton's batcher leaves bursts of instant answers lying, half a second and more.
    policy = f"default_queue_policy {{ timeout_action: REJECT max_queue_size: {PLACES} }}"
    model(repository, SHALLOW, f"dynamic_batching {{ {policy} }}")
    model(repository, DEEP, "")
    with running_triton(repository) as server:
        yield server
        server.kill()


@pytest.fixture(params=["fake", "legacy", "triton-grpc", "triton-http"])
async def side(request, tmp_path) -> AsyncIterator[Side]:
    kind, _, protocol = request.param.partition("-")
    if kind == "fake":
        made: Side = FakeSide()
    elif kind == "legacy":
        made = LegacySide(request.getfixturevalue("legacy"))
    else:
        made = TritonSide(request.getfixturevalue("triton"), protocol, tmp_path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(made.transport.close)
        if made.nobody is not None:
            stack.push_async_callback(made.nobody.close)
        yield made


# --- answers ----------------------------------------------------------------------------------------------


async def test_it_answers_detections_best_first_with_the_pictures_size(side):
    found = await side.transport.detect(side.ask())
    assert isinstance(found, Found)
    scores = [one.score for one in found.detections]
    assert scores
    assert scores == sorted(scores, reverse=True)
    assert found.detections.image_width > 0
    assert found.detections.image_height > 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_picture_may_be_any_kind_of_bytes(side, kind):
    assert len((await side.transport.detect(side.ask(kind(sample_jpeg())))).detections) > 0


async def test_many_at_once_are_all_answered(side):
    found = await asyncio.gather(*(side.transport.detect(side.ask()) for _ in range(100)))
    assert len({one.detections for one in found}) == 1


async def test_a_bad_picture_is_refused(side):
    side.refuses()
    with pytest.raises(Refused):
        await side.transport.detect(side.ask(b"no picture"))


async def test_nobody_listens_is_unavailable(side):
    with pytest.raises(Unavailable):
        await side.nobody.detect(side.ask())


# --- time -------------------------------------------------------------------------------------------------


async def test_a_hang_ends_when_its_time_is_over(side):
    await side.transport.detect(side.ask())
    async with side.hanging() as image:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await side.transport.detect(side.ask(image, timeout_s=0.3))
        assert 0.25 <= time.monotonic() - started < GENEROUS_S


async def test_a_side_that_is_full_says_so_at_once(side):
    async with side.full():
        async with asyncio.timeout(GENEROUS_S):
            with pytest.raises(Overloaded):
                await side.transport.detect(side.ask(detector=SHALLOW))


# --- callers who go, sides that rest and end ----------------------------------------------------------------


async def test_cancelled_calls_leave_no_task_no_socket_and_no_slot(side):
    await side.transport.detect(side.ask())
    tasks = len(asyncio.all_tasks())
    async with side.hanging() as image:
        storm = [asyncio.create_task(side.transport.detect(side.ask(image))) for _ in range(STORM)]
        for index, call in enumerate(storm):
            call.cancel()
            if index % 10 == 0:
                await asyncio.sleep(0.01)
        ended = await asyncio.gather(*storm, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "a cancelled call left its task")
    async with asyncio.timeout(PATIENCE_S):
        found = await asyncio.gather(*(side.transport.detect(side.ask()) for _ in range(20)))
    assert len(found) == 20
    await side.transport.rest()
    await until(lambda: side.sockets() == 0, "a cancelled call left its socket")


@pytest.mark.parametrize("end", ["rest", "close"])
async def test_what_is_under_way_ends_as_unavailable(side, end):
    await side.transport.detect(side.ask())
    async with side.hanging() as image:
        calls = [asyncio.create_task(side.transport.detect(side.ask(image))) for _ in range(5)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(GENEROUS_S):
            await getattr(side.transport, end)()
            ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in ended] == [Unavailable] * 5


async def test_a_side_at_rest_has_no_connection_and_wakes_when_it_is_asked(side):
    for _ in range(3):
        await asyncio.gather(*(side.transport.detect(side.ask()) for _ in range(5)))
        assert side.sockets() > 0 or not side.address
        await side.transport.rest()
        await until(lambda: side.sockets() == 0, "a connection is left")
    await side.transport.rest()


async def test_what_is_closed_stays_closed(side):
    await side.transport.detect(side.ask())
    await side.transport.close()
    await side.transport.close()
    with pytest.raises(Unavailable):
        await side.transport.detect(side.ask())
    await until(lambda: side.sockets() == 0, "a connection is left")


# --- the boundary -----------------------------------------------------------------------------------------

ODD = {
    "no bytes": {"image": b""},
    "20 MB": {"image": bytes(20_000_000)},
    "no time": {"timeout_s": 0.0},
    "less than no time": {"timeout_s": -1.0},
    "hardly any time": {"timeout_s": 1e-6},
    "all the time": {"timeout_s": 1e5},
    "an odd media type": {"media_type": "ünï/cödé\r\nX: y"},
    "an odd header": {"headers": {"traceparent": "a\r\nb: c", "x-request-id": "ü", "": "x"}},
    "an odd request id": {"request_id": "a\r\nb\0ü"},
    "a long request id": {"request_id": "x" * 100_000},
    "an odd priority": {"priority": 99},
    "an unknown detector": {"detector": "yolo99"},
    "a detector of no name": {"detector": ""},
    "a model that is not loaded": {"detector": "not_loaded"},
}


@pytest.mark.parametrize("what", ODD)
async def test_nothing_but_our_own_errors_comes_out_and_the_next_call_is_answered(side, what):
    async with asyncio.timeout(60):
        (ended,) = await asyncio.gather(side.transport.detect(side.ask(**ODD[what])), return_exceptions=True)
    assert isinstance(ended, Found | BackendError)
    assert len((await side.transport.detect(side.ask())).detections) > 0


async def test_a_detector_that_it_does_not_have_is_not_found(side):
    with pytest.raises(ModelNotFound, match="yolo99"):
        await side.transport.detect(side.ask(detector="yolo99"))
