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
CANCELLED = "cancelled"

Ended = Callable[[str, bool, float], None]
"""Told once: the code, whether it counts against the side, and how long it took."""


class Attempt:
    """`least_s` is the time that it gets even where its caller has less patience."""

    __slots__ = ("_ask", "_ended", "_least_s", "_limit", "_started", "_transport")

    def __init__(self, transport: Transport, ask: Ask, least_s: float, ended: Ended) -> None:
        self._transport = transport
        self._ask = ask
        self._least_s = least_s
        self._ended = ended
        self._limit: asyncio.Timeout | None = None
        self._started = asyncio.get_running_loop().time()

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
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._started + self._least_s)

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
            self._ended(code, counts, asyncio.get_running_loop().time() - self._started)

    async def _asked(self) -> Found:
        limit_s = max(self._ask.timeout_s, self._least_s)
        try:
            async with asyncio.timeout_at(self._started + limit_s) as self._limit:
                return await self._transport.detect(replace(self._ask, timeout_s=limit_s))
        except TimeoutError as error:
            raise DeadlineExceeded(f"No answer within {limit_s:.3g} s.") from error
        except BackendError:
            raise
        except Exception as error:  # a transport that breaks its contract must not take a request with it
            logger.exception("%s failed", type(self._transport).__name__)
            raise ServerError(f"The transport failed: {error!r}") from error
        finally:
            self._limit = None
