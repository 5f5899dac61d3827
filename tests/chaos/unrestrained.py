"""Patches for `tests.chaos.undefended`: a backend that lets everybody in, and forgets who has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ai.core.errors import DeadlineExceeded
from ai.web.exchanges import Exchanges
from ai.web.patience import Patience
from backend.services.admission import Admission
from backend.services.attempt import Attempt
from backend.services.breaker import Breaker


def no_bound() -> None:
    """As many as come are let in."""
    Admission.refusal = lambda *_: None  # type: ignore[method-assign]


def no_turns() -> None:
    """Whoever comes first is served first."""

    def refusal(self: Admission, _: str, places: int | None = None) -> str | None:
        return "full" if self.count >= min(self.limit, places or self.limit) else None

    Admission.refusal = refusal  # type: ignore[method-assign,assignment]


def places_kept() -> None:
    """Whoever hangs up keeps the place of what he asked for."""
    abandon = Attempt._abandon

    def kept(self: Attempt) -> None:
        abandon(self)
        self._ended = lambda *_: None

    Attempt._abandon = kept  # type: ignore[method-assign]


def cancelled_with_its_caller() -> None:
    """An attempt ends with its caller, wherever it just is; and waits for a connection inside the client's pool."""

    async def answer(self: Attempt, keep: Callable[[Any], None]) -> Any:
        task = asyncio.create_task(self._run())
        keep(task)
        try:
            async with asyncio.timeout(self._ask.timeout_s):
                return await task
        except TimeoutError as error:
            raise DeadlineExceeded("No answer.") from error

    async def run(_: Exchanges, exchange: Callable[[Patience], Any], timeout_s: float) -> Any:
        patience = Patience(timeout_s)
        patience.apply()
        return await exchange(patience)

    Attempt.answer = answer  # type: ignore[method-assign]
    Exchanges.run = run  # type: ignore[method-assign,assignment]


def callers_are_the_probes() -> None:
    """A breaker that is half open lets callers in."""
    moved = Breaker._move

    def move(self: Breaker, to: Any) -> None:
        moved(self, to)
        if to == "half_open":
            self.state = "closed"

    Breaker._move = move  # type: ignore[method-assign]


PATCHES: dict[str, Callable[[], None]] = {
    "the bound": no_bound,
    "turns": no_turns,
    "places given back": places_kept,
    "attempts that outlive their callers": cancelled_with_its_caller,
    "probes before callers": callers_are_the_probes,
}
