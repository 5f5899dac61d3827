"""One call of one side. It outlives its caller: it ends by its own limit, and counts then, so that callers with little
patience can neither hide a dead side nor make a healthy one look dead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from ai.core.errors import BackendError, DeadlineExceeded, ServerError, Unavailable
from backend.services.errors import code_of
from backend.transports.base import Ask, Found, Transport

logger = logging.getLogger(__name__)

OK = "ok"
LATE = code_of(DeadlineExceeded())
CANCELLED = "cancelled"

# After the limit, as time of a loop that runs: where this process was too busy to look, the answer may lie in the
# socket, and it must not call a side dead for its own lateness.
LAST_LOOK_S = 0.02

Ended = Callable[[str, bool, float], None]
"""Told once: the code, whether it counts against the side, and how long it took."""


class Attempt:
    """`least_s` is the time that it gets even where its caller has less patience."""

    __slots__ = (
        "_ask",
        "_ended",
        "_least_s",
        "_limit",
        "_limit_s",
        "_loop",
        "_started",
        "_timer",
        "_transport",
    )

    def __init__(self, transport: Transport, ask: Ask, least_s: float, ended: Ended) -> None:
        self._transport = transport
        self._ask = ask
        self._least_s = least_s
        self._ended = ended
        self._limit_s = max(ask.timeout_s, least_s)
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None  # while the transport is asked

    async def answer(self, keep: Callable[[asyncio.Task[Found]], None]) -> Found:
        """The answer, if it comes while the caller waits; `keep` holds the task that goes on if it does not."""
        task = asyncio.create_task(self._run())
        keep(task)
        try:
            await asyncio.wait((task,), timeout=self._ask.timeout_s)
        except asyncio.CancelledError:
            self._abandon()
            raise
        if task.cancelled():
            raise Unavailable("It was cut short: the backend is ending.")
        if task.done():
            return task.result()
        self._abandon()
        raise DeadlineExceeded(f"No answer within {self._ask.timeout_s:.3g} s.")

    def _abandon(self) -> None:
        """Nobody waits any more: it gets no more than the least time."""
        self._limit_s = self._least_s
        if self._timer is not None:
            self._set_timer()

    def _set_timer(self) -> None:
        self._stop_timer()
        self._timer = self._loop.call_at(self._started + self._limit_s, self._look_once_more)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_once_more(self) -> None:
        if not self._limit.expired():
            self._limit.reschedule(self._loop.time() + LAST_LOOK_S)

    async def _run(self) -> Found:
        code, counts = CANCELLED, False
        try:
            found = await self._asked()
            code = OK
            return found
        except BackendError as error:
            code, counts = code_of(error), error.counts_against_backend
            raise
        finally:
            self._ended(code, counts, self._loop.time() - self._started)

    async def _asked(self) -> Found:
        ask = replace(self._ask, timeout_s=self._limit_s + 2 * LAST_LOOK_S)
        try:
            async with self._limit:
                self._set_timer()
                try:
                    return await self._transport.detect(ask)
                finally:
                    self._stop_timer()
        except TimeoutError as error:
            raise DeadlineExceeded(f"No answer within {self._loop.time() - self._started:.3g} s.") from error
        except BackendError:
            raise
        except Exception as error:  # a transport that breaks its contract must not take a request with it
            logger.exception("%s failed", type(self._transport).__name__)
            raise ServerError(f"The transport failed: {error!r}") from error
