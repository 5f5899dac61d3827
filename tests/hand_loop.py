"""An event loop whose time passes when a test says so: hours in a moment, and every timer to the instant."""

from __future__ import annotations

import asyncio
import selectors

BEGAN_AT = 1000.0


class _NeverWaits(selectors.DefaultSelector):
    def __init__(self, loop: HandLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None):
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self._loop.idle(timeout)
        return ready


class HandLoop(asyncio.SelectorEventLoop):
    """`settle()` until nothing can happen at this instant, `advance(seconds)` for what happens later."""

    def __init__(self) -> None:
        self._now = BEGAN_AT
        self._settling: list[asyncio.Future[None]] = []
        super().__init__(_NeverWaits(self))

    def time(self) -> float:
        return self._now

    def settle(self) -> None:
        self.run_until_complete(self._settled())

    def advance(self, seconds: float) -> None:
        self.run_until_complete(asyncio.sleep(seconds))
        self.settle()

    def idle(self, timeout: float | None) -> None:
        """Nothing is ready: whoever waits for that is told, or else the next timer is due at once."""
        if self._settling:
            for one in self._settling:
                one.set_result(None)
            self._settling.clear()
        elif timeout is None:
            raise AssertionError("everybody waits for something that nobody will do")
        else:
            self._now += timeout

    async def _settled(self) -> None:
        settled = self.create_future()
        self._settling.append(settled)
        await settled
