"""Callers of a backend, each with a connection of its own, cheap enough that many fit beside what they ask."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from tests import pictures

JPEG = pictures.jpeg()
PATIENCE_S = 30.0  # tells a hang from none
NO_ANSWER = 0  # the status where there was none


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    document: dict[str, Any]
    began: float  # unix time, as in the backend's log
    ended: float
    camera: str = ""

    @property
    def took_s(self) -> float:
        return self.ended - self.began

    @property
    def side(self) -> str | None:
        return self._served_by.get("backend")

    @property
    def fallback_reason(self) -> str | None:
        return self._served_by.get("fallback_reason")

    @property
    def flag_version(self) -> int:
        return int(self._served_by["flag_version"])

    @property
    def attempts(self) -> dict[str, int]:
        """Of each side: whoever served it was asked once, and succeeded."""
        served_by, first = self._served_by, "triton" if self.fallback_reason else self.side
        others = served_by["attempts"] - 1
        return {"legacy": 1, "triton": others} if self.side != first else {str(self.side): others + 1}

    @property
    def _served_by(self) -> dict[str, Any]:
        return dict(self.document.get("served_by", {}))


class Caller:
    def __init__(
        self, url: str, path: str = "/api/detect", image: bytes = JPEG, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._tls = parts.hostname, parts.port, tls
        self._netloc, self._image = parts.netloc, image
        self.ask_as(path)
        self._writer: asyncio.StreamWriter | None = None
        self._reader = asyncio.StreamReader()

    def ask_as(self, path: str) -> None:
        """From now on."""
        self.request = (
            f"POST {path} HTTP/1.1\r\nHost: {self._netloc}\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(self._image)}\r\n\r\n"
        ).encode() + self._image

    @property
    def was_left(self) -> bool:
        """While it asked nothing the other side closed the connection: a client that looks opens another."""
        return self._writer is not None and (self._reader.at_eof() or self._writer.is_closing())

    async def ask(self, patience_s: float = PATIENCE_S) -> Reply:
        """After its patience, or whatever breaks the connection, the caller has hung up and there is NO_ANSWER."""
        began = time.time()
        try:
            async with asyncio.timeout(patience_s):
                return await self._exchange(began)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            self.hang_up()
            return Reply(NO_ANSWER, {}, {"error": repr(error)}, began, time.time())

    async def _exchange(self, began: float) -> Reply:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        self._writer.write(self.request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])
        }
        body = await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.hang_up()
        return Reply(int(head[0].split()[1]), headers, json.loads(body), began, time.time())

    def hang_up(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


async def ask(url: str, camera: str = "", image: bytes = JPEG) -> Reply:
    """Once, on a connection of its own."""
    caller = Caller(url, f"/api/detect?camera={camera}", image)
    try:
        return replace(await caller.ask(), camera=camera)
    finally:
        caller.hang_up()


async def ask_anew(url: str, times: int, at_once: int = 8) -> list[Reply]:
    """Each on a connection of its own, so that any worker may get it; a few at once, which nobody turns away."""
    replies: list[Reply] = []
    while len(replies) < times:
        replies += await asyncio.gather(*(ask(url) for _ in range(at_once)))
    return replies


async def ask_often(url: str, times: int, callers: int = 4, path: str = "/api/detect") -> list[Reply]:
    """So many requests, shared by so many callers."""
    left = iter(range(times))
    replies: list[Reply] = []

    async def call() -> None:
        caller = Caller(url, path)
        replies.extend([await caller.ask() for _ in left])
        caller.hang_up()

    await asyncio.gather(*(call() for _ in range(callers)))
    return replies


@dataclass
class Load:
    """Callers that ask again and again; `replies` in the order in which they came."""

    replies: list[Reply] = field(default_factory=list)
    by_caller: dict[int, list[Reply]] = field(default_factory=dict)

    async def until_served_by(self, side: str) -> None:
        await self.until_all(f"200 {side} None")

    async def until_all(self, outcome: str, times: int = 20) -> None:
        """The latest ones that came from now on."""
        begun, ends_at = len(self.replies), time.monotonic() + PATIENCE_S
        while True:
            latest = counted(self.replies[begun:][-times:])
            if latest == {outcome: times}:
                return
            assert time.monotonic() < ends_at, f"not {outcome} alone: {latest}"
            await asyncio.sleep(0.02)

    async def grown_by(self, replies: int) -> None:
        wanted, ends_at = len(self.replies) + replies, time.monotonic() + PATIENCE_S
        while len(self.replies) < wanted:
            assert time.monotonic() < ends_at, f"no {replies} more replies came"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def load(
    url: str,
    callers: int = 8,
    pause_s: float = 0.03,
    patience_s: float = PATIENCE_S,
    path: str = "/api/detect",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Load]:
    made = Load()
    going_on = True

    async def call(number: int) -> None:
        caller = Caller(url, f"{path}?camera=cam-{number}", tls=tls)
        mine = made.by_caller.setdefault(number, [])
        while going_on:
            reply = await caller.ask(patience_s)
            mine.append(reply)
            made.replies.append(reply)
            await asyncio.sleep(pause_s)
        caller.hang_up()

    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(call(number))
        try:
            yield made
        finally:
            going_on = False


def counted(replies: Iterable[Reply]) -> Counter[str]:
    """What became of them, to be read in a message."""
    return Counter(f"{one.status} {one.side} {one.fallback_reason}" for one in replies)
