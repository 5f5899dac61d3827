"""The comparisons of one worker: what was chosen waits here, the side that has not seen it is asked, a judge compares.

    offer → is there room? → the other side, if nothing speaks against it now → the judge → Compared
                                                                     at any point → ShadowDropped, with its reason

Whatever is offered ends as exactly one of these events. Nothing here counts for those who serve callers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ai.core.errors import BackendError, CrossfadeError, DeadlineExceeded, Overloaded, Refused
from backend.observe.events import Compared, DropReason, Observer, ShadowDropped, Verdict
from backend.observe.seldom import Seldom
from backend.shadow.pairs import Judge, Offer, Saw
from backend.sides import LEGACY, SIDES, TRITON, Side

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.05  # a call under way ends so soon after its side was switched off

AskSide = Callable[[Side, Offer], Awaitable[Saw]]
"""Show one side the picture of an offer; raises nothing but BackendError."""


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    queue: int  # pictures that wait
    queue_bytes: int  # of all pictures that wait or are being compared
    concurrency: int  # calls of each side at once
    timeout_s: float  # of one such call
    close_s: float = 4.5  # for what is left at the end


class _Dropped(CrossfadeError):
    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Shadow:
    """Make it on the event loop that uses it. `is_available`: the breaker of that side of that detector is closed;
    `may_touch`: the flags allow that side at all, and its connections do not rest. Both are asked again right before
    each call."""

    def __init__(
        self,
        ask: AskSide,
        is_available: Callable[[str, Side], bool],
        may_touch: Callable[[Side], bool],
        judge: Judge,
        observe: Observer,
        limits: ShadowLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._is_available = is_available
        self._may_touch = may_touch
        self._judge = judge
        self._observe = observe
        self._limits = limits
        self._faults = Seldom(_tell_of_faults, clock)
        # A side that hangs keeps only those waiting that wait for it.
        self._lines: dict[Side, asyncio.Queue[Offer]] = {side: asyncio.Queue() for side in SIDES}
        self._places = {side: asyncio.Semaphore(limits.concurrency) for side in SIDES}
        self._workers: list[asyncio.Task[None]] = []
        self._closing = False
        self.held_bytes = 0

    def offer(self, offer: Offer) -> None:
        """Never blocks and never raises: what finds no room is dropped, and counted."""
        try:
            self._take(offer)
        except _Dropped as dropped:
            self._tell(offer, dropped.reason)
        except Exception:  # noqa: BLE001 - it is logged, seldom
            self._failed()
            self._tell(offer, "fault")

    async def run(self) -> None:
        """Until it is cancelled or closed."""
        if self._closing:
            return
        async with asyncio.TaskGroup() as group:
            self._workers = [
                group.create_task(self._work(line))
                for line in self._lines.values()
                for _ in range(self._limits.concurrency)
            ]

    async def close(self) -> None:
        """Nothing more is taken; what is left is compared while there is time, and dropped then."""
        self._closing = True
        if not all(worker.done() for worker in self._workers):
            drained = asyncio.gather(*(line.join() for line in self._lines.values()))
            await asyncio.wait((drained,), timeout=self._limits.close_s)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for line in self._lines.values():
            while not line.empty():
                self._end(line, line.get_nowait(), "closing")

    # --- what comes in ------------------------------------------------------------------------------------

    def _take(self, offer: Offer) -> None:
        verdict = _known_already(offer)
        if verdict is not None:
            self._tell(offer, _unjudged(offer, verdict))
            return
        side = _not_asked(offer)
        if side is not None:
            self._require_open(side, offer)
        self._require_room(offer)
        self.held_bytes += len(offer.image)
        self._lines[side or LEGACY].put_nowait(offer)

    def _require_room(self, offer: Offer) -> None:
        if self._closing:
            raise _Dropped("closing")
        if sum(line.qsize() for line in self._lines.values()) >= self._limits.queue:
            raise _Dropped("queue_full")
        if self.held_bytes + len(offer.image) > self._limits.queue_bytes:
            raise _Dropped("bytes_full")

    def _require_open(self, side: Side, offer: Offer) -> None:
        if not self._may_touch(side):
            raise _Dropped("flag_changed")
        if not self._is_available(offer.detector, side):
            raise _Dropped("unavailable")

    # --- what becomes of it -------------------------------------------------------------------------------

    async def _work(self, line: asyncio.Queue[Offer]) -> None:
        while True:  # no name here holds a picture while the next one is waited for
            await self._handle(line, await line.get())

    async def _handle(self, line: asyncio.Queue[Offer], offer: Offer) -> None:
        outcome: Compared | DropReason = "closing"  # if it is cancelled
        try:
            outcome = await self._compared(offer)
        except _Dropped as dropped:
            outcome = dropped.reason
        except Exception:  # noqa: BLE001 - it is logged, seldom
            self._failed()
            outcome = "fault"
        finally:
            self._end(line, offer, outcome)

    def _end(self, line: asyncio.Queue[Offer], offer: Offer, outcome: Compared | DropReason) -> None:
        line.task_done()
        self.held_bytes -= len(offer.image)
        self._tell(offer, outcome)

    def _tell(self, offer: Offer, outcome: Compared | DropReason) -> None:
        """With the flags that the request was decided by: those of now may be others."""
        version = offer.flag_version
        if isinstance(outcome, Compared):
            self._observe(replace(outcome, flag_version=version))
        else:
            self._observe(ShadowDropped(offer.detector, outcome, version))

    async def _compared(self, offer: Offer) -> Compared:
        """The way of an offer."""
        if not self._may_touch(TRITON):  # nothing is said of a side that is not used any more
            raise _Dropped("flag_changed")
        saw = dict(offer.saw)
        side = _not_asked(offer)
        if side is not None:
            try:
                saw[side] = await self._asked(side, offer)
            except Overloaded as error:  # it works, and callers come first
                raise _Dropped("overloaded") from error
            except Refused as error:
                if not saw:  # both refuse it: the caller's own mistake
                    raise _Dropped("refused") from error
            except BackendError as error:
                logger.debug("%s gave no answer to compare: %s", side, error)
        if LEGACY in saw:
            return await self._judge.judge(offer, saw[LEGACY], saw.get(TRITON), partial(self._again, offer))
        return _unjudged(offer, "legacy_failed" if TRITON in saw else "triton_failed")

    async def _again(self, offer: Offer) -> Saw | None:
        try:
            return await self._asked(LEGACY, offer)
        except (BackendError, _Dropped):
            return None

    async def _asked(self, side: Side, offer: Offer) -> Saw:
        async with self._places[side]:
            self._require_open(side, offer)
            call = asyncio.ensure_future(self._ask(side, offer))
            try:
                async with asyncio.timeout(self._limits.timeout_s):
                    while not call.done():
                        await asyncio.wait((call,), timeout=LOOK_S)
                        self._require_touchable(side)
                return call.result()
            except TimeoutError as error:
                raise DeadlineExceeded(f"No answer within {self._limits.timeout_s:.3g} s.") from error
            finally:
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)  # nothing of it is left behind

    def _require_touchable(self, side: Side) -> None:
        """Whatever a side answers that was switched off meanwhile says nothing of it."""
        if not self._may_touch(side):
            raise _Dropped("flag_changed")

    def _failed(self) -> None:
        """To be called where the error is handled: it is logged, seldom."""
        self._faults.look()
        self._faults.happened(("fault",))


def _known_already(offer: Offer) -> Verdict | None:
    """The end of an offer about which nobody need be asked; the flag's own move is no failure of Triton."""
    if offer.decided == TRITON and offer.failed.get(TRITON) == "flag_changed":
        raise _Dropped("flag_changed")
    if LEGACY in offer.saw or LEGACY not in offer.failed:
        return None
    return "triton_failed" if offer.decided == TRITON and TRITON in offer.failed else "legacy_failed"


def _not_asked(offer: Offer) -> Side | None:
    """The side that nobody showed the picture to."""
    return next((side for side in SIDES if side not in offer.saw and side not in offer.failed), None)


def _unjudged(offer: Offer, verdict: Verdict) -> Compared:
    triton = offer.saw.get(TRITON)
    version = triton.model_version if triton else ""
    return Compared(offer.detector, verdict, offer.camera, model_version=version)


def _tell_of_faults(_: tuple[str, ...], count: int) -> None:
    logger.exception("%d comparisons failed; the latest:", count)
