"""What has passed through all workers of this backend, for whoever draws it.

Of several workers it is read from a file for each, off the event loop, and once for all who ask while it is read.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fastapi import Request, Response

from backend.api import answers
from backend.api.auth import who
from backend.api.keys import Role

if TYPE_CHECKING:
    from backend.observe.metrics import Metrics
    from backend.observe.traffic import Traffic

PATH = "/api/traffic"
FRESH = {"Cache-Control": "no-store"}


async def traffic(request: Request) -> Response:
    who(request, Role.VIEWER)
    readings: Readings = request.app.state.traffic
    return answers.json_of(request, await readings.newest(), FRESH)


class Readings:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._under_way: asyncio.Task[Traffic] | None = None

    async def newest(self) -> Traffic:
        """Made for whoever comes first; who comes meanwhile gets the same. Nobody who goes takes it from the others."""
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._read(), name="traffic is read")
        return await asyncio.shield(self._under_way)

    async def _read(self) -> Traffic:
        try:
            return await asyncio.to_thread(self._metrics.traffic, time.time())
        finally:
            self._under_way = None
