"""Who may ask at this moment: as many as the throttle says. A picture that waits for its next try leaves its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.batch.throttle import Throttle

MOST_WAITING = 8  # with so many put off, nothing new is begun: the trouble is not theirs


class Places:
    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._asking = self._waiting = 0
        self._changed = asyncio.Condition()

    async def enter(self) -> None:
        """For a picture that is begun."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_place and self._waiting < MOST_WAITING)
            self._asking += 1

    async def leave(self) -> None:
        self._asking -= 1
        await self._tell()

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Between two tries; when the block ends, the place is taken again."""
        self._waiting += 1
        await self.leave()
        try:
            yield
            async with self._changed:
                await self._changed.wait_for(lambda: self._has_place)
        finally:
            self._waiting -= 1
            self._asking += 1
        await self._tell()

    @property
    def _has_place(self) -> bool:
        return self._asking < self._throttle.limit

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
