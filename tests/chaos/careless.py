"""Patches for `tests.chaos.undefended`: a backend that hides an outage, and one that leans on its store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ai.core.detections import Detections
from backend.rollout.control import Rollout
from backend.rollout.store import Change
from backend.rollout.watch import Keeper
from backend.services.detector_client import DetectorClient
from backend.services.errors import NotServed
from backend.services.request import Request, Served
from backend.services.story import Story


def answer_nothing_seen() -> None:
    """Where nobody can serve: what careless clients make of a failure."""
    serve = DetectorClient._serve

    async def served(self: DetectorClient, request: Request, story: Story) -> Served:
        try:
            return await serve(self, request, story)
        except NotServed:
            side, nothing = request.decision.backend, Detections((), 640, 360)
            return Served(
                nothing, side, request.detector, "", request.decision, None, story.attempts, 0.0, 0.0
            )

    DetectorClient._serve = served  # type: ignore[method-assign]


def forget_what_was_obeyed() -> None:
    """As soon as the store is away."""
    look = Keeper._look_at_store

    def looked(self: Keeper) -> None:
        look(self)
        if self.trouble:
            self._known = self._state = None

    Keeper._look_at_store = looked  # type: ignore[method-assign]


def believe_the_store() -> None:
    """Whatever it holds, and if it is nothing."""

    def newest(self: Keeper, stored: Change | None) -> Change:
        return stored or self._first()

    Keeper._newest = newest  # type: ignore[method-assign]
    Keeper._read_journal = lambda _: None  # type: ignore[method-assign]


def roll_back_in_the_store_alone() -> None:
    Keeper._roll_back_alone = lambda *_: None  # type: ignore[method-assign]


def ask_the_store_on_the_loop() -> None:
    async def at_once(_: Rollout, work: Callable[[], Any]) -> Any:
        return work()

    Rollout._in_thread = at_once  # type: ignore[method-assign]


PATCHES: dict[str, Callable[[], None]] = {
    "errors that are told": answer_nothing_seen,
    "the last good state": forget_what_was_obeyed,
    "what a worker remembers": believe_the_store,
    "a rollback without the store": roll_back_in_the_store_alone,
    "a thread for the store": ask_the_store_on_the_loop,
}
