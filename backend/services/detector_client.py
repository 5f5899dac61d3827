"""The heart: one request, two sides, no lost answer.

    decide (flags) → ask that side within its share of the deadline → if it fails, the other side → thresholds

`detect` gives detections and says who found them and why, or raises NotServed; a failure is never an empty list.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Unpack

from ai.core.detections import Thresholds
from ai.core.errors import BackendError
from ai.core.header import Bytes
from backend.observe.events import (
    FellBack,
    HeadroomMeasured,
    Observer,
    Outcome,
    ShadowDropped,
    SideReady,
)
from backend.rollout.flags import Flags
from backend.services.asking import Asking
from backend.services.choices import Choices
from backend.services.deadline import NO_TIME_S, Deadline
from backend.services.errors import NotServed, UnknownDetector
from backend.services.headroom import Demand, headroom
from backend.services.lanes import Lanes, LaneStatus
from backend.services.policy import Policy
from backend.services.request import (
    NOBODY,
    Begun,
    Request,
    RequestInfo,
    Served,
    Wishes,
    untraced,
)
from backend.services.retry import RetryBudget
from backend.services.story import Barred, Story
from backend.shadow.pairs import Offer
from backend.sides import LEGACY, Side

BATCH_CONCURRENCY = 16  # images of one batch: two of Triton's batches of 8

Seen = Callable[[str, str | None], None]
"""Told the detector and the camera of each request."""
Offering = Callable[[Offer], None]
"""Told of each request that was chosen for a comparison, once its outcome is known: must neither wait nor raise."""


def nothing_offered(_: Offer) -> None:
    """Where nothing is compared."""


class DetectorClient:
    """`lanes` holds those that the configuration allows at all; the flags say which of them are used."""

    def __init__(
        self,
        lanes: Lanes,
        flags: Flags,
        policy: Policy,
        budgets: Mapping[Side, RetryBudget],
        seen: Seen,
        observe: Observer,
        offer: Offering = nothing_offered,
        begun: Begun = untraced,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.detectors = tuple(sorted({detector for detector, _ in lanes}))
        self.default_detector = policy.default_detector
        self._lanes = lanes
        self._flags = flags
        self._policy = policy
        self._choices = Choices(lanes, flags, policy)
        self._asking = Asking(lanes, flags, budgets, policy.max_retries, observe, chance)
        self._seen = seen
        self._observe = observe
        self._offer = offer
        self._begun = begun
        self._clock = clock
        self._demand = {detector: Demand(clock) for detector in self.detectors}

    async def detect(
        self,
        image: Bytes,
        *,
        camera: str | None = None,
        detector: str | None = None,
        deadline: Deadline | None = None,
        about: RequestInfo = NOBODY,
        force: Side | None = None,
        thresholds: Thresholds | None = None,
    ) -> Served:
        request = self._accepted(image, camera, detector, deadline, about, force, thresholds)
        story = Story()
        try:
            served = await self._serve(request, story)
        except NotServed as error:
            self._end(request, story, error.outcome)
            raise
        except asyncio.CancelledError:
            self._end(request, story, "gone")
            raise
        except Exception:
            self._end(request, story, "failed")
            raise
        self._end(request, story, "ok", served)
        return served

    async def detect_batch(
        self, images: Sequence[Bytes], **wishes: Unpack[Wishes]
    ) -> list[Served | NotServed]:
        """One decision and one outcome for each image, in order; some are asked at once, all within one deadline."""
        deadline = wishes.get("deadline") or self._deadline()
        about = wishes.get("about", NOBODY)
        batch_id = about.request_id or _new_id()
        places = asyncio.Semaphore(BATCH_CONCURRENCY)

        async def outcome(index: int, image: Bytes) -> Served | NotServed:
            one = replace(about, request_id=f"{batch_id}-{index}")
            own: Wishes = {**wishes, "deadline": deadline, "about": one}
            async with places:
                try:
                    return await self.detect(image, **own)
                except NotServed as error:
                    return error

        return await asyncio.gather(*(outcome(index, image) for index, image in enumerate(images)))

    async def _serve(self, request: Request, story: Story) -> Served:
        """The way of a request."""
        order = self._choices.order(request)
        for position, side in enumerate(order):  # grows where the flag moves meanwhile
            if story.failures:
                self._observe(
                    FellBack(request.detector, order[position - 1], side, story.failures[-1].reason)
                )
            until = self._choices.until(request, side, order[position + 1 :])
            asked_at = self._clock()
            try:
                found = await self._asking.ask(request, side, until, story)
            except (Barred, BackendError) as error:
                story.failed(side, error)
                order += self._choices.decided_anew(request, order, story)
                continue
            now = self._clock()
            story.answered(side, found, now - asked_at)
            return Served(
                found.detections.above(request.thresholds), side, request.detector, found.model_version,
                request.decision, story.fallback_reason, story.attempts, now - request.started, now - asked_at,
            )  # fmt: skip
        is_late = request.deadline.left_s() < NO_TIME_S
        raise story.verdict(is_late, self._choices.retry_after_s(request))

    # --- before it is asked -------------------------------------------------------------------------------

    def _accepted(
        self,
        image: Bytes,
        camera: str | None,
        detector: str | None,
        deadline: Deadline | None,
        about: RequestInfo,
        force: Side | None,
        thresholds: Thresholds | None,
    ) -> Request:
        detector = detector or self.default_detector
        if detector not in self._demand:
            raise UnknownDetector(
                f"There is no detector {detector[:100]!r}; there are {', '.join(self.detectors)}."
            )
        if not about.request_id:
            about = replace(about, request_id=_new_id())
        self._demand[detector].asked()
        self._seen(detector, camera)
        decision = self._flags.decide(detector, camera, about.request_id, force)
        self._choices.require_on(detector, decision)
        return Request(
            image, detector, camera, self._begun(about), deadline or self._deadline(),
            thresholds or self._policy.thresholds, decision, self._clock(),
        )  # fmt: skip

    def _deadline(self) -> Deadline:
        return Deadline.after(self._policy.deadline_s, self._clock)

    # --- what others ask of it ----------------------------------------------------------------------------

    def reachable(self, detector: str) -> frozenset[Side]:
        return self._choices.reachable(detector)

    def is_available(self, detector: str, side: Side) -> bool:
        """For a comparison: callers may ask it, and nothing says that it is not well."""
        lane = self._lanes.get((detector, side))
        return lane is not None and lane.breaker.state == "closed"

    def sides(self) -> list[LaneStatus]:
        return [
            replace(lane.status, for_callers=lane.side in self._choices.for_callers(lane.detector))
            for lane in self._lanes.values()
        ]

    def can_serve(self) -> bool:
        """A caller: who is only compared with serves nobody."""
        answering = self._choices.for_callers(self.default_detector)
        return any(self._lanes[self.default_detector, side].can_serve for side in answering)

    def measure(self) -> None:
        """Tell which sides serve, and how well legacy could carry everything."""
        for lane in self._lanes.values():
            ready = lane.can_serve if lane.allowed else None
            self._observe(SideReady(lane.detector, lane.side, ready))
        for detector in self.detectors:
            legacy = self._lanes.get((detector, LEGACY))
            serves = legacy is not None and legacy.can_serve
            capacity = legacy.pace.capacity_per_s if legacy and serves else 0.0
            ratio = headroom(capacity, self._demand[detector].per_s)
            if ratio is not None:
                self._observe(HeadroomMeasured(detector, ratio))

    async def drain(self) -> None:
        """Cut short what is under way: whoever waits for it sees Unavailable, and nobody else may come."""
        await asyncio.gather(*(lane.drain() for lane in self._lanes.values()))

    # --- when it has ended --------------------------------------------------------------------------------

    def _end(self, request: Request, story: Story, outcome: Outcome, served: Served | None = None) -> None:
        self._observe(story.ended(request, outcome, served, self._clock() - request.started))
        if not request.decision.shadowed:
            return
        if outcome in {"gone", "failed"}:
            self._observe(ShadowDropped(request.detector, "gone" if outcome == "gone" else "fault"))
        elif (offer := story.offer(request, outcome)) is not None:
            self._offer(offer)


def _new_id() -> str:
    return uuid.uuid4().hex
