"""Counts what happens into the books that ramps decide by, and sends it to the store once in a while.

An observer: told of each request and each pair, it adds a few whole numbers under the names of `books`, in the book of
the epoch in force. Requests count for the side that they were decided for, whoever served them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, MutableMapping
from dataclasses import replace

from backend.observe.events import Compared, Event, RequestEnded, ShadowDropped
from backend.rollout.books import MAX_CAMERAS, OTHERS, bin_of
from backend.rollout.control import Rollout
from backend.rollout.ramps import book_of
from backend.rollout.state import MAX_NAME_CHARS, RolloutState
from backend.rollout.store import StoreAway
from backend.settings import Settings
from backend.shadow.arrivals import Arrival, Arrivals
from backend.shadow.blocks import Block
from backend.shadow.outbox import Outbox
from backend.shadow.pair_names import pair_names
from backend.sides import TRITON, Side

logger = logging.getLogger(__name__)

NOT_THEIRS = frozenset({"refused", "gone"})  # no side failed these requests
WAITED = frozenset({"ok", "late", "gone"})  # others end at once because nobody serves, which is not speed
BY_CHANCE = frozenset({"FRACTION", "OVERRIDE"})
DECIDED_ANEW = "flag_changed"  # while it was under way: legacy's request, then, and no fault of Triton's
_OVERDUE_S = 0.5  # a request ends that much after its deadline at most


class Recorder:
    def __init__(
        self,
        rollout: Rollout,
        settings: Settings,
        worker_id: str,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._rollout = rollout
        self._clock = clock
        self._flush_s = settings.evidence_flush_s
        self._gap_s = settings.evidence_latency_gap_s
        self._is_by_request = settings.rollout_key == "request"
        self._chance = chance or random.Random()  # noqa: S311 - a lot, no secret
        self._outbox = Outbox(f"{worker_id}-{time.time_ns()}")
        self._arrivals = Arrivals(max(settings.detect_deadline_s, settings.deepstack_deadline_s) + _OVERDUE_S)
        self._timed_at: dict[tuple[str, Side], float] = {}
        self._blocks: dict[str, Block] = {}
        self._cameras: dict[str, tuple[str, set[str]]] = {}  # by detector: of which book, and which
        self._state: RolloutState | None = None
        self._books: dict[str, str] = {}
        self._is_away = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestEnded):
            self._request(event)
        elif isinstance(event, Compared):
            self._pair(event)
        elif isinstance(event, ShadowDropped):
            self._counts(event.detector)[f"dropped.{event.reason}"] += 1

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._flush_s)
            try:
                await self.flush()
            except Exception:
                logger.exception("what was counted could not be sent; it is kept")

    async def close(self) -> None:
        """The times that are still held back are lost: nobody knows what came before them."""
        await self.flush()  # what an earlier try had left …
        await self.flush()  # … and what was counted since

    async def flush(self) -> None:
        self._settle(self._clock())
        if not self._outbox.seal():
            return
        try:
            await self._rollout.ask(self._outbox.send)
        except StoreAway as error:
            if not self._is_away:
                logger.warning("evidence waits for the store: %s", error)
            self._is_away = True
        else:
            self._is_away = False

    # --- requests -----------------------------------------------------------------------------------------

    def _request(self, event: RequestEnded) -> None:
        if event.reason == "FORCED" or event.fallback_reason == DECIDED_ANEW:
            return
        counts = self._counts(event.detector)
        if event.outcome not in NOT_THEIRS:
            counts[f"requests.{event.decided}"] += 1
            if event.decided == TRITON:
                _count_error(counts, event)
        if event.backend == TRITON:
            counts[f"version.{_clean(event.model_version)}"] += 1
        now = self._clock()
        if event.outcome in WAITED:
            self._arrivals.ended(self._arrival(event, now))
        self._settle(now)

    def _arrival(self, event: RequestEnded, now: float) -> Arrival:
        return Arrival(
            now - event.total_s, event.detector, event.decided, event.total_s, self._books[event.detector],
            event.reason in BY_CHANCE, event.fraction, event.flag_version,
        )  # fmt: skip

    def _settle(self, now: float) -> None:
        """One time in a while of each side, chosen by when it began; and of the fresh ones, all that make a block."""
        for one in self._arrivals.due(now):
            key = (one.detector, one.side)
            if one.started_at >= self._timed_at.get(key, float("-inf")) + self._gap_s:
                self._timed_at[key] = one.started_at
                self._outbox.of(one.book)[f"time.{one.side}.{bin_of(one.took_s)}"] += 1
            if self._is_by_request:
                self._fresh(one)

    def _fresh(self, one: Arrival) -> None:
        block = self._blocks.get(one.detector)
        if block is None:
            block = self._blocks[one.detector] = Block(self._chance)
        is_slowest = block.add(one)
        if is_slowest is not None:
            self._outbox.of(one.book)[f"fresh.{int(is_slowest)}"] += 1

    # --- pairs --------------------------------------------------------------------------------------------

    def _pair(self, event: Compared) -> None:
        counts = self._counts(event.detector)
        is_named = event.camera and event.evidence is not None
        camera = self._camera(event.detector, event.camera or "") if is_named else ""
        for name in pair_names(replace(event, model_version=_clean(event.model_version)), camera):
            counts[name] += 1

    def _camera(self, detector: str, camera: str) -> str:
        """Callers make these names up: a book holds so many, and no control characters."""
        book = self._books[detector]
        known_book, known = self._cameras.get(detector, ("", set()))
        if known_book != book:
            known = set()
            self._cameras[detector] = (book, known)
        name = _clean(camera)
        if name not in known and len(known) >= MAX_CAMERAS:
            return OTHERS
        known.add(name)
        return name

    # --- books --------------------------------------------------------------------------------------------

    def _counts(self, detector: str) -> MutableMapping[str, int]:
        """Of the epoch in force."""
        state = self._rollout.flags.view.state
        if state is not self._state:
            self._state, self._books = state, {}
        book = self._books.get(detector)
        if book is None:
            ramp = state.ramps.get(detector) if state else None
            book = self._books[detector] = book_of(detector, ramp)
        return self._outbox.of(book)


def _count_error(counts: MutableMapping[str, int], event: RequestEnded) -> None:
    failed = event.backend != TRITON
    counts[f"errors.{int(failed)}"] += 1
    if failed:
        counts[f"error.{event.fallback_reason or event.outcome}"] += 1


def _clean(name: str) -> str:
    if not name.isprintable():
        name = "".join(one if one.isprintable() else "?" for one in name)
    return name[:MAX_NAME_CHARS]
