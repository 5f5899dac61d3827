"""A side that answers what it was told to: for tests, for benchmarks, and to try the backend without a model.

    side = FakeTransport().then(Unavailable("gone"), Hang())      # the next two calls; all others: `always`

It keeps the promises of a real one: a call ends by its timeout, whatever it was told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Container
from typing import Self

from ai.core.detections import Detections
from ai.core.errors import BackendError, DeadlineExceeded, ModelNotFound, Unavailable
from backend.transports.base import Ask, Found

KEPT_ASKS = 1_000  # the latest, with their pictures

A_DOG = Found(Detections.from_table([(10.0, 20.0, 110.0, 220.0, 0.75, 16.0)], 640, 480), "1")


class Hang:
    """An answer that does not come until it is released, if the call's timeout lets it."""

    def __init__(self, then: Found | BackendError = A_DOG) -> None:
        self.then = then
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def wait(self) -> None:
        await self._released.wait()


Answer = Found | BackendError | Hang


class FakeTransport:
    """`detectors`: those that it has; all, if it is not told."""

    def __init__(
        self, found: Found | None = None, delay_s: float = 0.0, detectors: Container[str] | None = None
    ) -> None:
        self.asked: deque[Ask] = deque(maxlen=KEPT_ASKS)
        self.calls = 0
        self.rests = 0
        self.closed = False
        self.delay_s = delay_s
        self._detectors = detectors
        self._constant: Answer = A_DOG if found is None else found
        self._queued: deque[Answer] = deque()
        self._under_way: set[asyncio.Timeout] = set()
        self._cut: set[asyncio.Timeout] = set()  # of these, by rest or close

    def then(self, *answers: Answer) -> Self:
        """What the next calls get, one each."""
        self._queued.extend(answers)
        return self

    def always(self, answer: Answer) -> Self:
        """What every call gets for which nothing is queued."""
        self._constant = answer
        return self

    async def detect(self, ask: Ask) -> Found:
        self.calls += 1
        self.asked.append(ask)
        if self.closed:
            raise _cut_short()
        if self._detectors is not None and ask.detector not in self._detectors:
            raise ModelNotFound(f"There is no detector {ask.detector!r} here.")
        answer = self._queued.popleft() if self._queued else self._constant
        if self.delay_s or isinstance(answer, Hang):
            answer = await self._later(answer, ask.timeout_s)
        if isinstance(answer, Found):
            return answer
        raise type(answer)(*answer.args)  # an error raised twice would drag its old traceback along

    async def rest(self) -> None:
        self.rests += 1
        now = asyncio.get_running_loop().time()
        self._cut.update(self._under_way)
        for limit in self._under_way:
            limit.reschedule(now)

    async def close(self) -> None:
        self.closed = True
        await self.rest()

    async def _later(self, answer: Answer, timeout_s: float) -> Found | BackendError:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                self._under_way.add(limit)
                await asyncio.sleep(self.delay_s)
                if not isinstance(answer, Hang):
                    return answer
                await answer.wait()
                return answer.then
        except TimeoutError as error:
            raise (_cut_short() if limit in self._cut else _late(timeout_s)) from error
        finally:
            self._under_way.discard(limit)
            self._cut.discard(limit)


def _cut_short() -> Unavailable:
    return Unavailable("The transport was put to rest, or is closed.")


def _late(timeout_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"It did not answer within {timeout_s:.3g} s.")
