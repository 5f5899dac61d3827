"""Who is asked in a parity run: a network in this process, or a model of a Triton. Both answer every picture."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ai.core.detections import Detections
from ai.core.errors import BackendError, InvalidDetections, InvalidImage, Overloaded
from ai.core.image import decode
from ai.core.processing import Prepared, finish, prepare
from ai.core.spec import DetectorSpec
from ai.engines.engine import Engine
from ai.triton.client import Detected, TritonClient

TIMEOUT_S = 20.0  # parity is no race
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)


@dataclass(frozen=True, slots=True)
class Unanswered:
    reason: str


Answer = Detections | Unanswered


class Side(Protocol):
    async def ask(self, pictures: Sequence[bytes], together: int) -> list[Answer]:
        """One answer for each encoded picture, in their order; `together` is the batch size to be tried."""

    async def batches(self) -> Mapping[int, int]:
        """How many executions of each batch size there were so far."""


class InProcess:
    """The way that a legacy service takes, without HTTP; and any other engine, batched by hand."""

    def __init__(self, engine: Engine, spec: DetectorSpec) -> None:
        self.engine = engine
        self.spec = spec
        self._batches: Counter[int] = Counter()

    async def ask(self, pictures: Sequence[bytes], together: int) -> list[Answer]:
        answers: list[Answer] = []
        for first in range(0, len(pictures), together):
            answers += self._detect(pictures[first : first + together])
            await asyncio.sleep(0)  # a Ctrl-C gets its turn
        return answers

    async def batches(self) -> Mapping[int, int]:
        return dict(self._batches)

    def _detect(self, pictures: Sequence[bytes]) -> list[Answer]:
        prepared = [self._prepared(picture) for picture in pictures]
        good = [one for one in prepared if isinstance(one, Prepared)]
        if good:
            self._batches[len(good)] += 1
        rows = iter(self.engine.infer(np.stack([one.pixels for one in good])) if good else ())
        return [one if isinstance(one, Unanswered) else self._finished(next(rows), one) for one in prepared]

    def _prepared(self, picture: bytes) -> Prepared | Unanswered:
        try:
            return prepare(decode(picture), self.spec)
        except InvalidImage as error:
            return Unanswered(str(error))

    def _finished(self, row: npt.NDArray[np.float32], one: Prepared) -> Answer:
        try:
            return finish(row, one.fit, self.spec)
        except InvalidDetections as error:
            return Unanswered(str(error))


class TritonModel:
    """One version of a served model, asked so that its batcher finds enough to batch."""

    def __init__(self, client: TritonClient, model: str, version: str) -> None:
        self.client = client
        self.model = model
        self.version = version

    async def ask(self, pictures: Sequence[bytes], together: int) -> list[Answer]:
        """While one batch runs the next one gathers, so twice as many are under way as go together."""
        room = asyncio.Semaphore(1 if together == 1 else 2 * together)

        async def one(picture: bytes) -> Answer:
            async with room:
                return await self._detect(picture)

        return list(await asyncio.gather(*(one(picture) for picture in pictures)))

    async def batches(self) -> Mapping[int, int]:
        versions = await self.client.statistics(self.model, self.version)
        return {size.batch_size: size.compute_infer.count for one in versions for size in one.batch_stats}

    async def _detect(self, picture: bytes) -> Answer:
        for pause_s in PAUSES_S:
            try:
                found = await self.client.detect(self.model, picture, timeout_s=TIMEOUT_S)
            except Overloaded:  # others ask this server too; here nobody is in a hurry
                await asyncio.sleep(pause_s)
            except BackendError as error:
                return Unanswered(f"{type(error).__name__}: {error}")
            else:
                return self._believed(found)
        return Unanswered(f"Overloaded: {self.model} had no room {len(PAUSES_S)} times")

    def _believed(self, found: Detected) -> Answer:
        if found.model_version != self.version:
            return Unanswered(f"version {found.model_version} answered, not {self.version}")
        return found.detections
