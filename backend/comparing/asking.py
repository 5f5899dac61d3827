"""Shows a picture to one of the two that are compared, and waits while it has no room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from ai.core.errors import InvalidModelOutput, Overloaded
from backend.comparing.contenders import Contender
from backend.comparing.house import Addresses
from backend.footage import Frame
from backend.services.request import media_type
from backend.shadow.pairs import Saw
from backend.sides import LEGACY, TRITON, Side
from backend.transports.base import Ask, Transport
from backend.transports.legacy import LegacyTransport
from backend.transports.triton import TritonTransport

TIMEOUT_S = 30.0  # nobody waits for it
AT_ONCE: Mapping[Side, int] = {LEGACY: 2, TRITON: 6}  # one thread infers behind legacy; Triton makes batches
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)


class Desk:
    """One contender, in the role that it plays: `legacy` is what the other one is held against."""

    def __init__(
        self, contender: Contender, transport: Transport, detector: str, has_shelf: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.name = contender.name
        self.contender = contender
        self._transport = transport
        self._detector = detector
        self._has_shelf = has_shelf
        self._clock = clock
        self._places = asyncio.Semaphore(AT_ONCE[contender.side])

    async def ask(self, frame: Frame) -> Saw:
        """Raises nothing but BackendError."""
        async with self._places:
            for pause_s in (*PAUSES_S, None):
                try:
                    return await self._asked(frame)
                except Overloaded:
                    if pause_s is None:
                        raise
                    await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    async def _asked(self, frame: Frame) -> Saw:
        ask = Ask(self._detector, frame.image, TIMEOUT_S, media_type(frame.image), f"compare-{frame.number}")
        started = self._clock()
        found = await self._transport.detect(ask)
        self._require_version(found.model_version)
        return Saw(found.detections, found.model_version, self._clock() - started)

    def _require_version(self, answered: str) -> None:
        """A Triton of somebody else's serves what its own policy says."""
        wanted = self.contender.version
        if wanted and not self._has_shelf and answered != wanted:
            raise InvalidModelOutput(f"{self.contender.model} answers with version {answered}, not {wanted}")


class Desks:
    """Both, for the block. Make it on the event loop that uses it."""

    def __init__(self, a: Contender, b: Contender, addresses: Addresses, detector: str) -> None:
        self._stack = AsyncExitStack()
        roles: dict[Side, Contender] = {LEGACY: a, TRITON: b}
        models: dict[str, str] = {
            side: one.served_as if addresses.has_shelf else one.model for side, one in roles.items()
        }
        transports: dict[Side, Transport] = {
            LEGACY: LegacyTransport({detector: addresses.legacy_url}),
            TRITON: TritonTransport(addresses.triton, models),
        }
        for transport in transports.values():
            self._stack.push_async_callback(transport.close)
        self.of: Mapping[Side, Desk] = {
            role: Desk(
                one, transports[one.side], role if one.side == TRITON else detector, addresses.has_shelf
            )
            for role, one in roles.items()
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
