"""How long an answer is wanted: until the caller hangs up, or its X-Deadline-Ms has passed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request

from ai.web.problems import CallerGone, Late, Problem

T = TypeVar("T")


async def while_wanted(request: Request, work: Awaitable[T], expires_at: float | None = None) -> T:
    """The result of `work`; CallerGone or Late as soon as nobody wants it, and then it is cancelled."""
    left_s = None if expires_at is None else max(0.0, expires_at - time.monotonic())
    gone = False
    patience = asyncio.timeout(left_s)

    async def watch() -> None:
        nonlocal gone
        await _hung_up(request)
        gone = True
        if not patience.expired():
            patience.reschedule(asyncio.get_running_loop().time())

    try:
        async with patience:
            watching = asyncio.create_task(watch())
            try:
                return await work
            finally:
                watching.cancel()
    except TimeoutError as error:
        if not patience.expired():
            raise
        raise (CallerGone() if gone else Late()) from error


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def expiry(request: Request) -> float | None:
    """When the caller stops waiting, on the monotonic clock."""
    text = request.headers.get("x-deadline-ms")
    if text is None:
        return None
    try:
        left_ms = float(text)
    except ValueError:
        left_ms = float("nan")
    if not 0 <= left_ms <= 3_600_000:
        raise Problem(
            400, f"X-Deadline-Ms is {text[:40]!r}; it must be the milliseconds left, from 0 to 3600000"
        )
    return time.monotonic() + left_ms / 1000
