"""The history of the rollout: a page of it as JSON, or all of it as JSON Lines. Newest first, both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from backend.api.asked import choice, count, known_detector
from backend.api.auth import who
from backend.api.errors import answer_headers
from backend.api.keys import Role
from backend.api.parts import parts_of
from backend.rollout.control import Rollout
from backend.rollout.store import Change, Store

MAX_HISTORY = 1000
MAX_EXPORT = 1_000_000_000
# Of a page: each change holds two whole states, with up to thousands of pins.
MAX_ROWS = 50
PAGE_BYTES = 2_000_000
JSON_LINES = "jsonl"

_BY_DETECTOR = ("overrides", "ramps")  # a change of anything else concerns them all


async def history(request: Request) -> Response:
    parts = parts_of(request)
    who(request, Role.VIEWER)
    exported = choice(request, "format", ("json", JSON_LINES)) == JSON_LINES
    detector = known_detector(request.query_params.get("detector"), parts.client.detectors)
    default, most = (MAX_EXPORT, MAX_EXPORT) if exported else (100, MAX_HISTORY)
    changes = _changes(parts.rollout, detector, count(request, "limit", default, most))
    return await (_export(request, changes) if exported else _listed(request, changes))


async def _listed(request: Request, changes: AsyncGenerator[bytes, None]) -> Response:
    return await _streamed(request, changes, b'{"changes":[', b",", b"]}", {}, "application/json")


async def _export(request: Request, changes: AsyncGenerator[bytes, None]) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="rollout-history.jsonl"',
    }
    return await _streamed(request, changes, b"", b"\n", b"\n", headers, "application/x-ndjson")


async def _streamed(
    request: Request, changes: AsyncGenerator[bytes, None], head: bytes, between: bytes, tail: bytes,
    headers: Mapping[str, str], media_type: str,
) -> Response:  # fmt: skip
    """The first is read before anything is answered: a store that is away is a 503, not a short history."""
    first = await anext(changes, None)

    async def pieces() -> AsyncIterator[bytes]:
        async with aclosing(changes):
            if head:
                yield head
            if first is not None:
                yield first
            async for change in changes:
                yield between + change
            if first is not None or head:
                yield tail

    content: AsyncIterator[bytes] | tuple[bytes, ...] = pieces()
    if request.method == "HEAD":
        content = ()
        await changes.aclose()
    return StreamingResponse(content, headers={**answer_headers(request), **headers}, media_type=media_type)


async def _changes(rollout: Rollout, detector: str | None, limit: int) -> AsyncGenerator[bytes, None]:
    """Each as JSON, page by page: as many are held at once, however long the history is and whatever is in it."""
    before: int | None = None
    left, rows = limit, 1
    while left and (page := await rollout.ask(partial(_page, rows=min(rows, left), before=before))):
        largest_bytes = 1
        for change in page:
            encoded = await asyncio.to_thread(_encoded, change)  # tens of milliseconds for thousands of pins
            largest_bytes = max(largest_bytes, len(encoded))
            if detector is None or concerns(change, detector):
                left -= 1
                yield encoded
        before, rows = page[-1].version, max(1, min(MAX_ROWS, PAGE_BYTES // largest_bytes))


def _page(store: Store, rows: int, before: int | None) -> tuple[Change, ...]:
    """Few where they are large: it is read in the thread that watches the flags."""
    return store.history(rows, before)


def concerns(change: Change, detector: str) -> bool:
    """Not where only another detector's fraction or ramp became another."""
    return _as_seen_by(detector, change.before or {}) != _as_seen_by(detector, change.after)


def _as_seen_by(detector: str, state: Mapping[str, Any]) -> dict[str, Any]:
    common = {name: value for name, value in state.items() if name not in ("version", *_BY_DETECTOR)}
    return common | {name: (state.get(name) or {}).get(detector) for name in _BY_DETECTOR}


def _encoded(change: Change) -> bytes:
    return json.dumps(change.to_table(), separators=(",", ":")).encode()
