"""Shows one side a picture that the other side has seen, past everything that callers are guarded and counted by.

No breaker, no admission, no pace, no metric of attempts: a comparison must not change what callers get. Who asks here
bounds how many ask at once, and asks the breaker and the flags first (`rollout.shadow`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from backend.services.request import media_type
from backend.shadow.pairs import Offer, Saw
from backend.sides import Side
from backend.transports.base import NO_HEADERS, Ask, Transport

AFTER_ALL_CALLERS = 2  # a Triton's lowest priority


class Twin:
    def __init__(
        self,
        transports: Mapping[Side, Transport],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transports = transports
        self._timeout_s = timeout_s
        self._clock = clock

    async def __call__(self, side: Side, offer: Offer, headers: Mapping[str, str] = NO_HEADERS) -> Saw:
        """Raises nothing but BackendError. The caller's own headers stay behind: this is no work of the caller's."""
        ask = Ask(
            offer.detector, offer.image, self._timeout_s, media_type(offer.image), f"{offer.request_id}-shadow",
            headers, AFTER_ALL_CALLERS,
        )  # fmt: skip
        started = self._clock()
        found = await self._transports[side].detect(ask)
        return Saw(found.detections, found.model_version, self._clock() - started)
