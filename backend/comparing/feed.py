"""Footage, read in a thread, handed to the event loop: a few pictures wait, never all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from threading import Event, Thread

from backend.footage import STREAM_PATIENCE_S, Footage, Frame

WAITING = 4
LOOK_S = 0.05
LONGEST_READ_S = 2 * STREAM_PATIENCE_S  # a stream that opens late, and then says nothing


class Feed:
    """Make it on the event loop that uses it."""

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Frame | Exception | None] = asyncio.Queue()
        self._stopping = Event()
        self._ended = False
        self._handed = self._taken = 0  # each is written by one thread only
        self.was_stopped = False  # before the footage ended
        self._thread = Thread(target=self._read, name="footage", daemon=True)

    def stop(self) -> None:
        """No further picture; those that were handed out are not called back. From any thread."""
        if not (self._stopping.is_set() or self._ended):
            self.was_stopped = True
        self._end()

    async def close(self) -> None:
        """The thread is gone when this returns: OpenCV's readers do not survive the end of their process."""
        self._end()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, LONGEST_READ_S)

    def _end(self) -> None:
        self._stopping.set()
        self._hand(None)

    async def frames(self) -> AsyncIterator[Frame]:
        """Raises what reading raised."""
        self._thread.start()
        while (one := await self._queue.get()) is not None and not self._stopping.is_set():
            if isinstance(one, Exception):
                raise one
            self._taken += 1
            yield one

    def _read(self) -> None:
        try:
            for frame in self._footage.frames(self._has_room):
                while not self._has_room() and not self._stopping.wait(LOOK_S):
                    pass
                if self._stopping.is_set():
                    return
                self._handed += 1
                self._hand(frame)
            self._ended = True
            self._hand(None)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._hand(error)

    def _has_room(self) -> bool:
        return self._handed - self._taken < WAITING

    def _hand(self, one: Frame | Exception | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue.put_nowait, one)
