"""Counts what happens into the books that ramps decide by, and sends it to the store once in a while.

An observer: told of each request and each pair, it adds a few whole numbers under the names of `books`, in the book of
the epoch in force; what was decided in an older one is left out. Requests count for the side that they were decided
for, whoever served them. A caller who hung up had waited longer than it would: it is no request and no error, but its
time is the longest there is, whichever side it was for. Else a side so slow that nobody waits for it would seem quick.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from math import inf

from backend.observe.events import Compared, Event, RequestEnded, ShadowDropped
from backend.rollout.books import MAX_CAMERAS, OTHERS, bin_of
from backend.rollout.control import Rollout
from backend.rollout.state import MAX_NAME_CHARS
from backend.rollout.store import StoreAway
from backend.settings import Settings
from backend.shadow.arrivals import Arrival, Arrivals
from backend.shadow.blocks import Block
from backend.shadow.epochs import Epoch, Epochs
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
        self._epochs = Epochs(rollout.flags)
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
        self._is_away = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestEnded):
            self._request(event)
        elif isinstance(event, Compared):
            self._pair(event)
        elif isinstance(event, ShadowDropped):
            self._dropped(event)

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
        epoch = self._epochs.of(event.detector)
        if not epoch.has(event.flag_version):
            return
        counts = self._outbox.of(epoch.book)
        if event.outcome not in NOT_THEIRS:
            counts[f"requests.{event.decided}"] += 1
            if event.decided == TRITON:
                _count_error(counts, event)
        if event.backend == TRITON:
            counts[f"version.{_clean(event.model_version)}"] += 1
        now = self._clock()
        if event.outcome in WAITED:
            self._arrivals.ended(_arrival(event, now, epoch.book))
        self._settle(now)

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
        epoch = self._epochs.of(event.detector)
        if not epoch.has(event.flag_version):
            return
        counts = self._outbox.of(epoch.book)
        is_named = event.camera and event.evidence is not None
        camera = self._camera(event.detector, epoch, event.camera or "") if is_named else ""
        for name in pair_names(replace(event, model_version=_clean(event.model_version)), camera):
            counts[name] += 1

    def _dropped(self, event: ShadowDropped) -> None:
        epoch = self._epochs.of(event.detector)
        if epoch.has(event.flag_version):
            self._outbox.of(epoch.book)[f"dropped.{event.reason}"] += 1

    def _camera(self, detector: str, epoch: Epoch, camera: str) -> str:
        """Callers make these names up: a book holds so many, and no control characters. Those that the ramp waits for
        have their place, however many others came first."""
        name = _clean(camera)
        if name in epoch.cameras:
            return name
        known_book, known = self._cameras.get(detector, ("", set()))
        if known_book != epoch.book:
            known = set()
            self._cameras[detector] = (epoch.book, known)
        if name not in known and len(known) >= MAX_CAMERAS:
            return OTHERS
        known.add(name)
        return name


def _arrival(event: RequestEnded, now: float, book: str) -> Arrival:
    took_s = inf if event.outcome == "gone" else event.total_s
    return Arrival(
        now - event.total_s, event.detector, event.decided, took_s, book,
        event.reason in BY_CHANCE, event.fraction, event.flag_version,
    )  # fmt: skip


def _count_error(counts: MutableMapping[str, int], event: RequestEnded) -> None:
    failed = event.backend != TRITON
    counts[f"errors.{int(failed)}"] += 1
    if failed:
        counts[f"error.{event.fallback_reason or event.outcome}"] += 1


def _clean(name: str) -> str:
    if not name.isprintable():
        name = "".join(one if one.isprintable() else "?" for one in name)
    return name[:MAX_NAME_CHARS]
