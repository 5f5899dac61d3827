"""Asks a Triton for detections: encoded pictures or pixels, whichever its model takes; gRPC or HTTP.

Every failure is a BackendError (ai.core.errors), save one: a caller who is cancelled sees CancelledError, and
nothing of the call is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Literal, Self

from ai.core.detections import Detections
from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidImage,
    InvalidModelOutput,
    ModelNotFound,
    Refused,
    Unavailable,
)
from ai.core.geometry import Fit
from ai.core.header import Bytes
from ai.core.sample import sample_jpeg
from ai.core.spec import DetectorSpec
from ai.triton.asking import answers
from ai.triton.asking.contract import Contract
from ai.triton.asking.contracts import Contracts
from ai.triton.asking.described import (
    INDEX,
    METADATA,
    STATISTICS,
    IndexEntry,
    ModelMetadata,
    ModelStatistics,
    described,
)
from ai.triton.asking.grpc_wire import GrpcWire
from ai.triton.asking.http_wire import HttpWire
from ai.triton.asking.pixels import tensor_of
from ai.triton.asking.wire import Answer, Question, Wire
from ai.web.tracing import is_sendable, passed_on, sampled_only

HEALTH_TIMEOUT_S = 2.0
CONTROL_TIMEOUT_S = 5.0
LOAD_TIMEOUT_S = 120.0  # a model that compiles for each of its batch sizes
BATCH_CONCURRENCY = 16  # two of Triton's batches of 8: one runs while the next one fills
PREPARING_THREADS = 2

Protocol = Literal["grpc", "http"]
NO_SPECS: Mapping[str, DetectorSpec] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Detected:
    detections: Detections
    model: str
    model_version: str


Outcome = Detected | BackendError


class TritonClient:
    """Make it on the event loop that uses it, one for each Triton and process.

    `specs` says what a model's answer means, by model name, where its own configuration does not.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        specs: Mapping[str, DetectorSpec] = NO_SPECS,
        batch_concurrency: int = BATCH_CONCURRENCY,
        preparing_threads: int = PREPARING_THREADS,
    ) -> None:
        self._wire = wire
        self._contracts = Contracts(wire, specs)
        self._batch_concurrency = batch_concurrency
        self._preparing = ThreadPoolExecutor(preparing_threads, thread_name_prefix="triton-pixels")
        self._loop = asyncio.get_running_loop()
        self._sample = sample_jpeg()
        self._closed = False

    @classmethod
    def at(
        cls,
        url: str,
        protocol: Protocol = "grpc",
        *,
        admin_key: str | None = None,
        specs: Mapping[str, DetectorSpec] = NO_SPECS,
    ) -> Self:
        """`url` is host:port, over gRPC also dns:///host:port, which takes turns over the host's addresses."""
        wire = GrpcWire(url, admin_key) if protocol == "grpc" else HttpWire(url, admin_key)
        return cls(wire, specs=specs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._closed = True
        self._preparing.shutdown(wait=False, cancel_futures=True)
        await self._wire.close()

    # --- detection ----------------------------------------------------------------------------------------

    async def detect(
        self,
        model: str,
        image: Bytes,
        *,
        timeout_s: float,
        priority: int = 0,
        request_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Detected:
        """Everything that `model` sees at or over its score floor, within `timeout_s`, all steps included."""
        ends_at = self._loop.time() + timeout_s
        contract = self._contracts.known(model) or await self._contracts.read(model, ends_at)
        data, shape, place = (
            (image, (len(image),), None)
            if contract.encoded
            else await self._prepare(contract, image, ends_at)
        )
        question = Question(
            model,
            contract.input_name,
            contract.datatype,
            contract.shaped(*shape),
            data,
            contract.outputs,
            priority,
            request_id if is_sendable(request_id) else "",
            sampled_only(passed_on(headers, request_id)),  # Triton looks at no context's flag
        )
        try:
            answer = await self._wire.infer(question, self._left_s(ends_at))
            if answer.model_version != contract.version:
                contract = await self._answered(contract, answer, ends_at)
            return Detected(answers.read(answer, contract, place), model, answer.model_version)
        except (Refused, ModelNotFound, InvalidModelOutput, Unavailable):
            self._contracts.doubt(contract)
            raise

    async def detect_batch(
        self,
        model: str,
        images: Sequence[Bytes],
        *,
        timeout_s: float,
        priority: int = 0,
        request_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> list[Outcome]:
        """One outcome for each image, in order; some are asked at once, so that Triton can make batches."""
        ends_at = self._loop.time() + timeout_s
        outcomes: list[Outcome] = [DeadlineExceeded("It was not asked in time.")] * len(images)
        waiting = iter(enumerate(images))

        async def ask() -> None:
            for index, image in waiting:
                own_id = f"{request_id}-{index}" if request_id else ""
                try:
                    outcomes[index] = await self.detect(
                        model,
                        image,
                        timeout_s=ends_at - self._loop.time(),
                        priority=priority,
                        request_id=own_id,
                        headers=headers,
                    )
                except BackendError as error:
                    outcomes[index] = error

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._batch_concurrency, len(images))):
                group.create_task(ask())
        return outcomes

    async def is_healthy(self, model: str, timeout_s: float = HEALTH_TIMEOUT_S) -> bool:
        """Whether it answers a real picture. A Triton whose models are dead calls them ready for ever."""
        try:
            await self.detect(model, self._sample, timeout_s=timeout_s, priority=1)
        except BackendError:
            return False
        return True

    async def _prepare(
        self, contract: Contract, image: Bytes, ends_at: float
    ) -> tuple[bytes, tuple[int, ...], Fit | None]:
        """Pixels, their shape, and where the picture lies in them."""
        if self._closed:
            raise Unavailable("The client is closed.")
        try:
            async with asyncio.timeout_at(ends_at):
                pixels, place = await self._loop.run_in_executor(
                    self._preparing, tensor_of, bytes(image), contract.spec
                )
        except InvalidImage as error:
            raise Refused(str(error)) from error
        except TimeoutError as error:
            raise DeadlineExceeded("The picture was not decoded in time.") from error
        return pixels, (3, contract.spec.input_height, contract.spec.input_width), place

    async def _answered(self, asked: Contract, answer: Answer, ends_at: float) -> Contract:
        """Another version answered than the one whose contract we know."""
        now = await self._contracts.changed(asked, answer.model_version, ends_at)
        if not asked.asks_the_same(now):
            raise Unavailable(f"Model {asked.model!r} was exchanged for another while it was asked.")
        return now

    def _left_s(self, ends_at: float) -> float:
        left_s = ends_at - self._loop.time()
        if left_s <= 0:
            raise DeadlineExceeded("No time was left to ask Triton.")
        return left_s

    # --- what the server says of itself -------------------------------------------------------------------

    async def is_model_ready(
        self, model: str, version: str = "", timeout_s: float = CONTROL_TIMEOUT_S
    ) -> bool:
        """Triton's own word, which says little: see `is_healthy`."""
        return await self._wire.is_model_ready(model, version, timeout_s)

    async def model_metadata(
        self, model: str, version: str = "", timeout_s: float = CONTROL_TIMEOUT_S
    ) -> ModelMetadata:
        return described(METADATA, await self._wire.describe("metadata", model, version, timeout_s))

    async def statistics(
        self, model: str, version: str = "", timeout_s: float = CONTROL_TIMEOUT_S
    ) -> tuple[ModelStatistics, ...]:
        """One entry for each version; a model that was never asked has zeros."""
        table = await self._wire.describe("statistics", model, version, timeout_s)
        return described(STATISTICS, table).model_stats

    # --- what needs the admin key -------------------------------------------------------------------------

    async def repository_index(self, timeout_s: float = CONTROL_TIMEOUT_S) -> tuple[IndexEntry, ...]:
        return described(INDEX, await self._wire.repository_index(timeout_s))

    async def load_model(self, model: str, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Returns when the model is ready; its newest version is read again from the repository."""
        await self._wire.change_repository("load", model, timeout_s)
        self._contracts.forget(model)

    async def unload_model(self, model: str, timeout_s: float = CONTROL_TIMEOUT_S) -> None:
        """Returns at once; the model ends when what it was asked has been answered."""
        await self._wire.change_repository("unload", model, timeout_s)
        self._contracts.forget(model)
