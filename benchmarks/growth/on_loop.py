"""Work of an event loop, so many times, for whoever times it from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvloop

from benchmarks.growth.timing import Work

Repeated = Callable[[Callable[[], Awaitable[object]]], Work]


@contextmanager
def event_loop() -> Iterator[Repeated]:
    """One loop for all the works of a series: what they are made of belongs to it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        def repeated(one: Callable[[], Awaitable[object]]) -> Work:
            async def several(times: int) -> None:
                for _ in range(times):
                    await one()

            return lambda times: runner.run(several(times))

        yield repeated
