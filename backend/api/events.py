"""What is new of the rollout, told at once to whoever listens: server-sent events.

One look at the store, and one reading of the traffic, serve all listeners of a worker, and nobody looks while nobody
listens. A listener is owed the newest of each kind and no more, so that nothing queues; one that takes nothing for a
while is hung up on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ai.web.problems import Busy
from backend.api import ramp, rollout
from backend.api.auth import who
from backend.api.ending import ending_told
from backend.api.keys import Role
from backend.api.parts import Parts
from backend.api.traffic import Readings

logger = logging.getLogger(__name__)

PATH = "/api/rollout/events"
MOST_LISTENERS = 64
POLL_S = 0.25
TRAFFIC_S = 2.0
HEARTBEAT_S = 10.0
PATIENCE_S = 20.0  # with a listener that takes nothing
RETRY_MS = 2000  # after which a listener that was cut off comes back
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}


async def events(request: Request) -> Response:
    who(request, Role.VIEWER)
    news: News = request.app.state.news
    return news.told_to_one_more()


@asynccontextmanager
async def news_of(api: FastAPI) -> AsyncIterator[None]:
    """At `app.state.news`, as long as the app runs."""
    news = api.state.news = News(api.state.parts, api.state.traffic)
    with ending_told(news.end):
        try:
            yield
        finally:
            news.end()


@dataclass(frozen=True, slots=True)
class Told:
    serial: int  # rises with each thing told
    frame: bytes
    stamp: object  # what it would have to differ in to be new


@dataclass(eq=False)
class Listener:
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class News:
    def __init__(
        self, parts: Parts, readings: Readings, patience_s: float = PATIENCE_S,
        heartbeat_s: float = HEARTBEAT_S, traffic_s: float = TRAFFIC_S,
    ) -> None:  # fmt: skip
        self.patience_s = patience_s
        self.heartbeat_s = heartbeat_s
        self.traffic_s = traffic_s
        self.listeners: set[Listener] = set()
        self._parts = parts
        self._readings = readings
        self._told: dict[str, Told] = {}
        self._serial = 0
        self._looking: tuple[asyncio.Task[None], ...] = ()
        self._ended = False

    def told_to_one_more(self) -> Response:
        """Busy where too many listen already."""
        if self._ended or len(self.listeners) >= MOST_LISTENERS:
            raise Busy(f"{len(self.listeners)} listen already, and no more are taken at the moment")
        listener = Listener()
        self.listeners.add(listener)
        if not self._looking:
            self._told.clear()
            self._looking = (
                asyncio.create_task(self._again_and_again(self._look, lambda: POLL_S), name="news"),
                asyncio.create_task(
                    self._again_and_again(self._read, lambda: self.traffic_s), name="traffic"
                ),
            )
        return Stream(self, listener)

    def leave(self, listener: Listener) -> None:
        self.listeners.discard(listener)
        if not self.listeners:
            for task in self._looking:
                task.cancel()
            self._looking = ()

    def end(self) -> None:
        """Every listener is sent home."""
        self._ended = True
        self._wake_all()

    async def frames(self, listener: Listener) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        seen = 0
        while not self._ended:
            listener.wake.clear()
            for told in self._newer_than(seen):
                seen = told.serial
                yield told.frame
            if not self._ended and not await self._woken(listener):
                yield b": nothing new\n\n"

    # --- looking ------------------------------------------------------------------------------------------

    async def _again_and_again(
        self, look: Callable[[], Awaitable[None]], pause_s: Callable[[], float]
    ) -> None:
        while not self._ended:
            try:
                await look()
            except Exception:
                logger.exception("what is new could not be looked at")
            await asyncio.sleep(pause_s())

    async def _read(self) -> None:
        traffic = await self._readings.newest()
        self._tell("traffic", "traffic", None, traffic, traffic["at"])

    async def _look(self) -> None:
        state = self._parts.rollout.flags.view.state
        if state is None:
            return
        looks = await ramp.looks_of(self._parts.rollout, state)
        for gone in self._told.keys() - {"rollout", "traffic", *(f"look/{detector}" for detector in looks)}:
            del self._told[gone]  # of a ramp that was followed by another one
        document = rollout.document(self._parts, state, looks)
        self._tell("rollout", "rollout", state.version, document, _stamp(document))
        for detector, look in looks.items():
            self._tell(f"look/{detector}", "look", state.version, look.to_table(), (look.epoch, look.at))

    def _tell(
        self, key: str, event: str, version: int | None, document: Mapping[str, Any], stamp: object
    ) -> None:
        """`version` of the flags; None for what is no matter of theirs."""
        last = self._told.get(key)
        if last is not None and last.stamp == stamp:
            return
        self._serial += 1
        data = json.dumps(document, separators=(",", ":"))
        number = "" if version is None else f"id: {version}\n"
        frame = f"{number}event: {event}\ndata: {data}\n\n".encode()
        self._told[key] = Told(self._serial, frame, stamp)
        self._wake_all()

    def _newer_than(self, serial: int) -> list[Told]:
        newer = [told for told in self._told.values() if told.serial > serial]
        return sorted(newer, key=lambda told: told.serial)

    async def _woken(self, listener: Listener) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(listener.wake.wait(), self.heartbeat_s)
            return True
        return False

    def _wake_all(self) -> None:
        for listener in self.listeners:
            listener.wake.set()


class Stream(StreamingResponse):
    """To one listener, until it goes, takes nothing any more, or the server ends."""

    def __init__(self, news: News, listener: Listener) -> None:
        super().__init__(news.frames(listener), headers=HEADERS, media_type="text/event-stream")
        self._news = news
        self._listener = listener
        self._transport: asyncio.Transport | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._transport = getattr(getattr(receive, "__self__", None), "transport", None)  # uvicorn's
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._news.leave(self._listener)

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(self._patient(send))
        except TimeoutError:
            logger.info("a listener took nothing for %g s and is hung up on", self._news.patience_s)
            if self._transport is not None:  # closing it would wait for the listener to read the rest
                self._transport.abort()

    def _patient(self, send: Send) -> Send:
        async def patiently(message: Any) -> None:
            await asyncio.wait_for(send(message), self._news.patience_s)

        return patiently


def _stamp(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what changes every second: signs of life, and looks, which are told by themselves."""
    workers = [(one["worker"], one["version"]) for one in document["workers"]]
    ramps = {name: {**ramp, "look": None} for name, ramp in document["ramps"].items()}
    return {**document, "workers": workers, "ramps": ramps}
