"""HTTP exchanges that are bounded in number and never cancelled.

A call that is cancelled while it waits inside httpcore's pool wedges the pool for good, and one that is cancelled at
another wrong moment leaves a connection there that is never used again (httpcore 1.0.9, httpx 0.28.1). So each exchange
runs in a task of its own, which outlives a cancelled caller only until it notices, and there are never more
of them than the pool has connections: nobody waits in the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ai.core.errors import DeadlineExceeded, Overloaded, Unavailable
from ai.web.patience import Patience

T = TypeVar("T")
Exchange = Callable[[Patience], Coroutine[Any, Any, T]]


class Exchanges:
    """With one server, `name`. Make it on the event loop that uses it."""

    def __init__(self, name: str, connections: int) -> None:
        self._name = name
        self._places = asyncio.Semaphore(connections)
        self._under_way: dict[asyncio.Task[Any], Patience] = {}
        self.closed = False

    async def run(self, exchange: Exchange[T], timeout_s: float) -> T:
        """All that `exchange` does on a PatientBackend ends within `timeout_s`, or when the caller has gone."""
        patience = Patience(timeout_s)
        await self._take_place(patience)
        task = asyncio.create_task(_held_to(patience, exchange))
        self._under_way[task] = patience
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            patience.end()
            raise

    async def close(self) -> None:
        """What is under way runs out of time at once; returns when it has ended."""
        self.closed = True
        for patience in self._under_way.values():
            patience.end()
        if self._under_way:
            await asyncio.wait(list(self._under_way))

    async def _take_place(self, patience: Patience) -> None:
        self._require_open()
        if patience.left_s <= 0:
            raise DeadlineExceeded(f"No time was left to ask {self._name}.")
        try:
            async with asyncio.timeout_at(patience.ends_at):
                await self._places.acquire()
        except TimeoutError as error:
            raise Overloaded(
                f"No connection to {self._name} became free within {patience.timeout_s:.3g} s."
            ) from error
        if self.closed:  # while it was waited for
            self._places.release()
            self._require_open()

    def _require_open(self) -> None:
        if self.closed:
            raise Unavailable(f"The connections to {self._name} are closed.")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._under_way[task]
        self._places.release()
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains of one whose caller is gone


def require_was_asked(patience: Patience, name: str) -> None:
    """Once a response has begun. One that nobody had to read for lay behind an earlier one: it was said twice, and is
    the answer to another question. Left before its end, its connection is closed."""
    if not patience.was_asked:
        raise Unavailable(f"{name} answered before it was asked.")


async def _held_to(patience: Patience, exchange: Exchange[T]) -> T:
    patience.apply()
    return await exchange(patience)
