"""Whom a request may ask: who comes first, who after, and how long each may take."""

from __future__ import annotations

from collections.abc import Sequence

from backend.rollout.decision import Decision
from backend.rollout.flags import Flags
from backend.services.deadline import Deadline
from backend.services.errors import SideOff
from backend.services.lanes import Lanes
from backend.services.policy import Policy
from backend.services.request import Request
from backend.services.story import Story
from backend.sides import LEGACY, TRITON, Side


class Choices:
    def __init__(self, lanes: Lanes, flags: Flags, policy: Policy) -> None:
        self._lanes = lanes
        self._flags = flags
        self._policy = policy

    def require_on(self, detector: str, decision: Decision) -> None:
        """SideOff where an admin asks for a side that may not be asked."""
        if decision.reason != "FORCED":
            return
        if decision.backend == TRITON and not decision.triton_on:
            raise SideOff("Triton is switched off (TRITON_ENABLED, or `crossfade rollout disable`).")
        if (detector, decision.backend) not in self._lanes:
            raise SideOff(f"The configuration has no {decision.backend} side for {detector}.")

    def order(self, request: Request) -> list[Side]:
        """Who may be asked, the first choice first."""
        first = request.decision.backend
        sides = (first,) if request.is_forced else (first, *self._policy.fallbacks[first])
        return [
            side for side in sides
            if (request.detector, side) in self._lanes and (side == LEGACY or request.decision.triton_on)
        ]  # fmt: skip

    def decided_anew(self, request: Request, order: Sequence[Side], story: Story) -> list[Side]:
        """A flag that moved away from Triton is a decision for legacy, whatever FALLBACK says of failures."""
        moved = story.failures[-1].reason == "flag_changed"
        known = (request.detector, LEGACY) in self._lanes and LEGACY not in order
        return [LEGACY] if moved and known and not request.is_forced else []

    def until(self, request: Request, side: Side, others: Sequence[Side]) -> Deadline:
        """Triton leaves time for who could be asked after it; who comes last, or is legacy, may use all of it."""
        until = request.deadline
        if side == TRITON and any(
            self._lanes[request.detector, one].breaker.state == "closed" for one in others
        ):
            until = until.share(self._policy.triton_share)
        return until.no_later_than(self._policy.timeouts_s[side])

    def retry_after_s(self, request: Request) -> float:
        """When the first closed door may open."""
        waits = (self._lanes[request.detector, side].breaker.retry_after_s for side in self.order(request))
        return max(1.0, min(waits, default=1.0))

    def reachable(self, detector: str) -> frozenset[Side]:
        """The sides that a request can get to right now, as first choice, fallback or shadow."""
        return self._with_fallbacks(detector, self._flags.reachable(detector))

    def for_callers(self, detector: str) -> frozenset[Side]:
        """Those of them that can be why a caller is answered."""
        return self._with_fallbacks(detector, self._flags.first_choices(detector))

    def _with_fallbacks(self, detector: str, first: frozenset[Side]) -> frozenset[Side]:
        then = {side for one in first for side in self._policy.fallbacks[one]}
        sides = first | (then if self._flags.triton_may_help(detector) else then - {TRITON})
        return frozenset(side for side in sides if (detector, side) in self._lanes)
