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
from dataclasses import dataclass, replace
from typing import Unpack

from ai.core.detections import Thresholds
from ai.core.errors import BackendError, DeadlineExceeded
from ai.core.header import Bytes
from backend.observe.events import (
    FellBack,
    HeadroomMeasured,
    Observer,
    Outcome,
    Retried,
    RetryBudgetExhausted,
    ShadowDropped,
    SideReady,
)
from backend.rollout.decision import Decision
from backend.rollout.flags import Flags
from backend.services.deadline import Deadline
from backend.services.errors import NotServed, SideOff, UnknownDetector
from backend.services.headroom import Demand, headroom
from backend.services.lanes import Lane, LaneStatus
from backend.services.request import (
    NOBODY,
    Begun,
    Request,
    RequestInfo,
    Served,
    Wishes,
    media_type,
    untraced,
)
from backend.services.retry import RetryBudget, backoff_s
from backend.services.story import Barred, Story
from backend.shadow.pairs import Offer
from backend.sides import LEGACY, TRITON, Side
from backend.transports.base import Ask, Found

BATCH_CONCURRENCY = 16  # images of one batch: two of Triton's batches of 8
_NO_TIME_S = 0.001  # timers may fire that much early

Lanes = Mapping[tuple[str, Side], Lane]
Seen = Callable[[str, str | None], None]
"""Told the detector and the camera of each request."""
Offering = Callable[[Offer], None]
"""Told of each request that was chosen for a comparison, once its outcome is known: must neither wait nor raise."""


def nothing_offered(_: Offer) -> None:
    """Where nothing is compared."""


@dataclass(frozen=True, slots=True)
class Policy:
    default_detector: str
    thresholds: Thresholds
    fallbacks: Mapping[Side, tuple[Side, ...]]
    timeouts_s: Mapping[Side, float]
    deadline_s: float = 5.0
    triton_share: float = 0.4  # of the deadline, while somebody else could still be asked
    max_retries: int = 3


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
        self._budgets = budgets
        self._seen = seen
        self._observe = observe
        self._offer = offer
        self._begun = begun
        self._clock = clock
        self._chance = chance
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
        order = self._order(request)
        for position, side in enumerate(order):  # grows where the flag moves meanwhile
            if story.failures:
                self._observe(
                    FellBack(request.detector, order[position - 1], side, story.failures[-1].reason)
                )
            asked_at = self._clock()
            try:
                found = await self._ask(
                    request, side, self._until(request, side, order[position + 1 :]), story
                )
            except (Barred, BackendError) as error:
                story.failed(side, error)
                order += self._decided_anew(request, order, story)
                continue
            now = self._clock()
            story.answered(side, found, now - asked_at)
            return Served(
                found.detections.above(request.thresholds), side, request.detector, found.model_version,
                request.decision, story.fallback_reason, story.attempts, now - request.started, now - asked_at,
            )  # fmt: skip
        raise story.verdict(request.deadline.left_s() < _NO_TIME_S, self._retry_after_s(request))

    async def _ask(self, request: Request, side: Side, until: Deadline, story: Story) -> Found:
        """One side, as often as it may be retried."""
        lane = self._lanes[request.detector, side]
        self._budgets[side].asked()
        retries_left, lost = self._policy.max_retries, None
        while True:
            self._require_open(request, lane, until, lost)
            if lost is not None:
                self._observe(Retried(lane.detector, side))
            story.attempts += 1
            try:
                return await lane.ask(self._question(request, until), request.camera)
            except BackendError as error:
                if not (error.retryable and retries_left and self._may_retry(lane)):
                    raise
                retries_left, lost = retries_left - 1, error
            await asyncio.sleep(min(backoff_s(self._chance), until.left_s()))

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
        self._require_on(detector, decision)
        return Request(
            image, detector, camera, self._begun(about), deadline or self._deadline(),
            thresholds or self._policy.thresholds, decision, self._clock(),
        )  # fmt: skip

    def _require_on(self, detector: str, decision: Decision) -> None:
        if decision.reason != "FORCED":
            return
        if decision.backend == TRITON and not decision.triton_on:
            raise SideOff("Triton is switched off (TRITON_ENABLED, or `crossfade rollout disable`).")
        if (detector, decision.backend) not in self._lanes:
            raise SideOff(f"The configuration has no {decision.backend} side for {detector}.")

    def _order(self, request: Request) -> list[Side]:
        """Who may be asked, the first choice first."""
        first = request.decision.backend
        sides = (first,) if request.is_forced else (first, *self._policy.fallbacks[first])
        return [
            side for side in sides
            if (request.detector, side) in self._lanes and (side == LEGACY or request.decision.triton_on)
        ]  # fmt: skip

    def _decided_anew(self, request: Request, order: Sequence[Side], story: Story) -> list[Side]:
        """A flag that moved away from Triton is a decision for legacy, whatever FALLBACK says of failures."""
        moved = story.failures[-1].reason == "flag_changed"
        known = (request.detector, LEGACY) in self._lanes and LEGACY not in order
        return [LEGACY] if moved and known and not request.is_forced else []

    def _until(self, request: Request, side: Side, others: Sequence[Side]) -> Deadline:
        """Triton leaves time for who could be asked after it; who comes last, or is legacy, may use all of it."""
        until = request.deadline
        if side == TRITON and any(
            self._lanes[request.detector, one].breaker.state == "closed" for one in others
        ):
            until = until.share(self._policy.triton_share)
        return until.no_later_than(self._policy.timeouts_s[side])

    def _require_open(self, request: Request, lane: Lane, until: Deadline, lost: BackendError | None) -> None:
        """Asked before every single attempt: the flag may have moved, and time may have passed. What keeps a retry
        away hides nothing of why there would have been one."""
        if lane.side == TRITON and not self._may_touch_triton(request):
            raise Barred("flag_changed")
        left_s = until.left_s()
        if left_s < _NO_TIME_S:
            raise lost or DeadlineExceeded("No time was left to ask.")
        barrier = lane.barrier(request.camera, left_s)
        if barrier is not None and not (request.is_forced and barrier == "breaker_open"):
            raise lost or Barred(barrier)

    def _may_touch_triton(self, request: Request) -> bool:
        return self._flags.still(request.decision, request.detector, request.camera, request.info.request_id)

    def _may_retry(self, lane: Lane) -> bool:
        if self._budgets[lane.side].take():
            return True
        self._observe(RetryBudgetExhausted(lane.detector, lane.side))
        return False

    @staticmethod
    def _question(request: Request, until: Deadline) -> Ask:
        return Ask(
            request.detector, request.image, until.left_s(), media_type(request.image), request.info.request_id,
            request.info.headers,
        )  # fmt: skip

    def _deadline(self) -> Deadline:
        return Deadline.after(self._policy.deadline_s, self._clock)

    # --- what others ask of it ----------------------------------------------------------------------------

    def reachable(self, detector: str) -> frozenset[Side]:
        """The sides that a request can get to right now, as first choice, fallback or shadow."""
        first = self._flags.reachable(detector)
        then = {side for one in first for side in self._policy.fallbacks[one]}
        sides = first | (then if self._flags.triton_may_help(detector) else then - {TRITON})
        return frozenset(side for side in sides if (detector, side) in self._lanes)

    def is_available(self, detector: str, side: Side) -> bool:
        """For a comparison: callers may ask it, and nothing says that it is not well."""
        lane = self._lanes.get((detector, side))
        return lane is not None and lane.breaker.state == "closed"

    def sides(self) -> list[LaneStatus]:
        return [lane.status for lane in self._lanes.values()]

    def can_serve(self) -> bool:
        lanes = (
            self._lanes.get((self.default_detector, side)) for side in self.reachable(self.default_detector)
        )
        return any(lane is not None and lane.can_serve for lane in lanes)

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

    def _retry_after_s(self, request: Request) -> float:
        """When the first closed door may open."""
        waits = (self._lanes[request.detector, side].breaker.retry_after_s for side in self._order(request))
        return max(1.0, min(waits, default=1.0))

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
