"""The gRPC channel to one target; another one, where nothing good comes over it any more.

gRPC leaves a connection when it breaks, not when it falls silent: one that a router has forgotten, or whose frames
were spoilt, holds every call to its deadline for as long as TCP waits, a quarter of an hour. Triton tolerates a ping of
its clients every five minutes only. So a connection over which nobody was answered for a while is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio

from ai.core.errors import BackendError

SILENT_S = 1.0  # with calls that failed at its end
LEAVING_S = 60.0  # for what is still under way on the one that is left

Options = tuple[tuple[str, int | str], ...]


class GrpcLine:
    """Make it on the event loop that uses it."""

    def __init__(self, target: str, options: Options) -> None:
        self._target, self._options = target, options
        self._loop = asyncio.get_running_loop()
        self._leaving: dict[asyncio.Task[None], grpc.aio.Channel] = {}
        self._closed = False
        self._methods: dict[str, Any] = {}
        self._silent_since: float | None = None  # the first question since the last good answer
        self._channel = self._opened()

    def method(self, path: str) -> Any:
        known = self._methods.get(path)
        if known is None:
            known = self._methods[path] = self._channel.unary_unary(path)
        return known

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Around each call: whether there was a good word, and be it that there is no room."""
        if self._silent_since is None:
            self._silent_since = self._loop.time()
        try:
            yield
        except BackendError as error:
            self._ended(well=not error.counts_against_backend)
            raise
        except asyncio.CancelledError:
            self._ended(well=False)
            raise
        self._ended(well=True)

    async def close(self) -> None:
        """What is under way ends."""
        self._closed = True
        channels = self._channel, *self._leaving.values()
        for leaving in self._leaving:
            leaving.cancel()
        await asyncio.gather(*(channel.close() for channel in channels))

    def _opened(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._target, options=self._options)

    def _ended(self, well: bool) -> None:
        if well:
            self._silent_since = None
        elif self._is_silent and not self._closed:
            self._leave()

    @property
    def _is_silent(self) -> bool:
        """Where there is no connection, gRPC is about to make one."""
        since = self._silent_since
        if since is None or self._loop.time() - since < SILENT_S:
            return False
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def _leave(self) -> None:
        left = self._channel
        task = asyncio.create_task(left.close(LEAVING_S))
        self._leaving[task] = left
        task.add_done_callback(self._leaving.pop)
        self._methods, self._silent_since = {}, None
        self._channel = self._opened()
