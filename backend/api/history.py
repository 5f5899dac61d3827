"""The history of the rollout: a page of it as JSON, or all of it as JSON Lines. Newest first, both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from backend.api import answers
from backend.api.asked import choice, count, known_detector
from backend.api.auth import Role, who
from backend.api.parts import parts_of
from backend.rollout.control import Rollout
from backend.rollout.store import Change, Store

MAX_HISTORY = 1000
MAX_EXPORT = 1_000_000_000
PAGE = 50  # each change holds two whole states, with up to thousands of pins
JSON_LINES = "jsonl"

_BY_DETECTOR = ("overrides", "ramps")  # a change of anything else concerns them all


async def history(request: Request) -> Response:
    parts = parts_of(request)
    who(request, Role.VIEWER)
    exported = choice(request, "format", ("json", JSON_LINES)) == JSON_LINES
    detector = known_detector(request.query_params.get("detector"), parts.client.detectors)
    if exported:
        limit = count(request, "limit", default=MAX_EXPORT, most=MAX_EXPORT)
        return await _export(_changes(parts.rollout, detector, limit))
    limit = count(request, "limit", default=100, most=MAX_HISTORY)
    changes = [change.to_table() async for change in _changes(parts.rollout, detector, limit)]
    return answers.json_of(request, {"changes": changes})


async def _export(changes: AsyncIterator[Change]) -> Response:
    """The first is read before anything is answered: a store that is away is a 503, not an empty file."""
    first = await anext(changes, None)

    async def lines() -> AsyncIterator[str]:
        if first is not None:
            yield _line(first)
        async for change in changes:
            yield _line(change)

    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="rollout-history.jsonl"',
    }
    return StreamingResponse(lines(), headers=headers, media_type="application/x-ndjson")


async def _changes(rollout: Rollout, detector: str | None, limit: int) -> AsyncIterator[Change]:
    """Page by page: as many are held at once, however long the history is."""
    before: int | None = None
    left = limit
    while left and (page := await rollout.ask(partial(_page, before=before))):
        for change in islice((one for one in page if detector is None or concerns(one, detector)), left):
            left -= 1
            yield change
        before = page[-1].version


def _page(store: Store, before: int | None) -> tuple[Change, ...]:
    return store.history(PAGE, before)


def concerns(change: Change, detector: str) -> bool:
    """Not where only another detector's fraction or ramp became another."""
    return _as_seen_by(detector, change.before or {}) != _as_seen_by(detector, change.after)


def _as_seen_by(detector: str, state: Mapping[str, Any]) -> dict[str, Any]:
    common = {name: value for name, value in state.items() if name not in ("version", *_BY_DETECTOR)}
    return common | {name: (state.get(name) or {}).get(detector) for name in _BY_DETECTOR}


def _line(change: Change) -> str:
    return json.dumps(change.to_table(), separators=(",", ":")) + "\n"
