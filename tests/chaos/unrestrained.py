"""Patches for `tests.chaos.undefended`: a backend that serves whoever is loudest, and forgets who has gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.services.admission import Admission
from backend.services.attempt import Attempt
from backend.services.breaker import Breaker


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


def callers_are_the_probes() -> None:
    """A breaker that is half open lets callers in."""
    moved = Breaker._move

    def move(self: Breaker, to: Any) -> None:
        moved(self, to)
        if to == "half_open":
            self.state = "closed"

    Breaker._move = move  # type: ignore[method-assign]


PATCHES: dict[str, Callable[[], None]] = {
    "turns": no_turns,
    "places given back": places_kept,
    "probes before callers": callers_are_the_probes,
}
