"""Asks one side, as often as it may be retried; whether it may be asked at all is looked at before every attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ai.core.errors import BackendError, DeadlineExceeded
from backend.observe.events import Observer, Retried, RetryBudgetExhausted
from backend.rollout.flags import Flags
from backend.services.deadline import NO_TIME_S, Deadline
from backend.services.lanes import Lane, Lanes
from backend.services.request import Request, media_type
from backend.services.retry import RetryBudget, backoff_s
from backend.services.story import Barred, Story
from backend.sides import TRITON, Side
from backend.transports.base import Ask, Found


class Asking:
    def __init__(
        self,
        lanes: Lanes,
        flags: Flags,
        budgets: Mapping[Side, RetryBudget],
        max_retries: int,
        observe: Observer,
        chance: Callable[[], float],
    ) -> None:
        self._lanes = lanes
        self._flags = flags
        self._budgets = budgets
        self._max_retries = max_retries
        self._observe = observe
        self._chance = chance

    async def ask(self, request: Request, side: Side, until: Deadline, story: Story) -> Found:
        """Barred or BackendError where there is no answer."""
        lane = self._lanes[request.detector, side]
        self._budgets[side].asked()
        retries_left, lost = self._max_retries, None
        while True:
            self._require_open(request, lane, until, lost)
            if lost is not None:
                self._observe(Retried(lane.detector, side))
            story.attempts += 1
            try:
                return await lane.ask(_question(request, until), request.camera)
            except BackendError as error:
                if not (error.retryable and retries_left and self._may_retry(lane)):
                    raise
                retries_left, lost = retries_left - 1, error
            await asyncio.sleep(min(backoff_s(self._chance), until.left_s()))

    def _require_open(self, request: Request, lane: Lane, until: Deadline, lost: BackendError | None) -> None:
        """The flag may have moved, and time may have passed. What keeps a retry away hides nothing of why there would
        have been one."""
        if lane.side == TRITON and not self._may_touch_triton(request):
            raise Barred("flag_changed")
        left_s = until.left_s()
        if left_s < NO_TIME_S:
            raise lost or DeadlineExceeded("No time was left to ask.")
        barrier = lane.barrier(request.camera, left_s, fallen_too=request.is_forced)
        if barrier is not None:
            raise lost or Barred(barrier)

    def _may_touch_triton(self, request: Request) -> bool:
        return self._flags.still(request.decision, request.detector, request.camera, request.info.request_id)

    def _may_retry(self, lane: Lane) -> bool:
        if self._budgets[lane.side].take():
            return True
        self._observe(RetryBudgetExhausted(lane.detector, lane.side))
        return False


def _question(request: Request, until: Deadline) -> Ask:
    return Ask(
        request.detector, request.image, until.left_s(), media_type(request.image), request.info.request_id,
        request.info.headers,
    )  # fmt: skip
