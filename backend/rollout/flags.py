"""What one request gets of the rollout's state: pure, made once for each state, asked in microseconds.

Kill switch → camera pin → detector override → common fraction. A key falls into one of 100,000 buckets and belongs to
Triton when the bucket lies under the fraction's share of them: a higher fraction only adds keys, a lower one takes the
last ones back first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Final, Literal

from backend.rollout.decision import Decision, Reason
from backend.rollout.quota import Quota
from backend.rollout.state import RolloutState
from backend.sides import LEGACY, SIDES, TRITON, Side

BUCKETS: Final = 100_000
FRACTION_SALT: Final = "crossfade-fraction-1"
SHADOW_SALT: Final = "crossfade-shadow-1"
NO_QUOTAS: Final[Mapping[str, Quota]] = MappingProxyType({})

RolloutKey = Literal["request", "camera-quota"]


def bucket_of(salt: str, detector: str, key: str) -> int:
    """0 .. 99,999. The golden vectors hold it fast: a change here moves every request of a running rollout."""
    words = f"{salt}\0{detector}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(words, digest_size=8).digest(), "big") % BUCKETS


def threshold_of(fraction: float) -> int:
    """How many buckets a fraction is; rounded, since 0.07 × 100,000 is 7000.000000000001."""
    return round(fraction * BUCKETS)


@dataclass(frozen=True, slots=True)
class View:
    """All that a worker knows of the flags at one moment."""

    state: RolloutState | None = None  # None: nothing was ever read
    kill_switch: bool = False  # True: thrown
    stale: bool = False
    quotas: Mapping[str, Quota] = field(default_factory=lambda: NO_QUOTAS)  # by detector, as published
    legacy_enabled: bool = True
    key: RolloutKey = "request"

    @property
    def obeyed(self) -> RolloutState:
        """Where nothing was ever read everything is legacy's, or Triton's where there is no legacy."""
        return self.state or RolloutState(fraction=0.0 if self.legacy_enabled else 1.0)


@dataclass(frozen=True, slots=True)
class _Share:
    """What one detector gets."""

    fraction: float
    threshold: int  # in buckets
    reason: Reason
    taken: frozenset[str] | None  # the cameras that are Triton's; None: by buckets
    share_taken: float


class Flags:
    """The current view, and what follows from it. `show` may be called at any time, from any thread."""

    def __init__(self, view: View | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = _Plan(view or View())
        self._clock = clock
        self._trusted_until = math.inf

    @property
    def view(self) -> View:
        return self._plan.view

    def show(self, view: View) -> None:
        self._plan = _Plan(view)

    def trust_until(self, moment: float) -> None:
        """By its clock; afterwards `still` is no, until somebody has looked again."""
        self._trusted_until = moment

    def decide(
        self, detector: str, camera: str | None, request_id: str, force: Side | None = None
    ) -> Decision:
        return self._plan.decide(detector, camera, request_id, force)

    def still(self, decision: Decision, detector: str, camera: str | None, request_id: str) -> bool:
        """Whether Triton may be started now for a request that was decided a while ago: ask before every attempt.

        What was decided for Triton is decided again where the state has changed since. A diagnosis needs no more
        than that Triton is on.
        """
        plan = self._plan
        if not plan.triton_on or self._clock() > self._trusted_until:
            return False
        if decision.backend == LEGACY:
            return plan.triton_may_help(detector)
        if decision.reason == "FORCED" or decision.version == plan.version:
            return True
        return plan.decide(detector, camera, request_id, None).backend == TRITON

    @property
    def triton_on(self) -> bool:
        return self._plan.triton_on

    def may_compare(self, side: Side) -> bool:
        """Whether this side may be asked now for the sake of a comparison."""
        return side == LEGACY or (self._plan.compares and self._clock() <= self._trusted_until)

    def triton_may_help(self, detector: str) -> bool:
        """As the fallback of legacy (FALLBACK=both): never after a rollback, which says that Triton is not well."""
        return self._plan.triton_may_help(detector)

    def reachable(self, detector: str) -> frozenset[Side]:
        """The sides that some request may be sent to first, or be compared with."""
        return self._plan.reachable(detector)

    def first_choices(self, detector: str) -> frozenset[Side]:
        """Those without the ones that are only compared with."""
        return self._plan.first_choices(detector)

    def effective_fraction(self, detector: str) -> float:
        """The share of the requests that Triton gets, pins aside."""
        return self._plan.effective_fraction(detector)


class _Plan:
    """A view, worked out."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.off = _off(view)
        self.triton_on = self.off is None
        state = view.obeyed
        self.version = state.version
        self._state = state
        self._by_state = view.state is not None and not view.stale
        self._unsure: Reason = "COLD_START" if view.state is None else "STALE"
        self._pinned = frozenset(state.pins.values())  # the sides
        self._shadow = threshold_of(state.shadow) if self.triton_on and view.legacy_enabled else 0
        self._common = self._share(state.fraction, "FRACTION")
        self._shares = {
            detector: self._share(
                state.fraction_of(detector),
                "OVERRIDE" if detector in state.overrides else "FRACTION",
                view.quotas.get(detector),
            )
            for detector in {*state.overrides, *view.quotas}
        }

    def decide(self, detector: str, camera: str | None, request_id: str, force: Side | None) -> Decision:
        share = self._shares.get(detector, self._common)
        key = camera if camera and share.taken is not None else request_id
        bucket = bucket_of(FRACTION_SALT, detector, key)
        if force:
            return Decision(force, "FORCED", bucket, share.fraction, self.version, False, self.triton_on)
        pin = self._state.pin_of(camera, detector)
        side, reason = self._choose(share, camera, bucket, pin)
        shadowed = self._shadow > 0 and self._is_shadowed(detector, request_id)
        return Decision(side, reason, bucket, share.fraction, self.version, shadowed, self.triton_on)

    @property
    def compares(self) -> bool:
        return self._shadow > 0

    def triton_may_help(self, detector: str) -> bool:
        return self.triton_on and not self._state.is_rolled_back(detector)

    def reachable(self, detector: str) -> frozenset[Side]:
        return frozenset(SIDES) if self.triton_on and self._shadow else self.first_choices(detector)

    def first_choices(self, detector: str) -> frozenset[Side]:
        if not self.triton_on:
            return frozenset({LEGACY})
        threshold = self._shares.get(detector, self._common).threshold
        sides: set[Side] = {*self._pinned} - ({TRITON} if self._state.suspends_pins(detector) else set())
        if threshold > 0:
            sides.add(TRITON)
        if threshold < BUCKETS:
            sides.add(LEGACY)
        return frozenset(sides)

    def effective_fraction(self, detector: str) -> float:
        if not self.triton_on:
            return 0.0
        share = self._shares.get(detector, self._common)
        return share.fraction if share.taken is None else share.share_taken

    def _choose(
        self, share: _Share, camera: str | None, bucket: int, pin: Side | None
    ) -> tuple[Side, Reason]:
        if self.off is not None:
            return LEGACY, self.off
        if pin is not None:
            return pin, self._because("PIN")
        if camera and share.taken is not None:
            return TRITON if camera in share.taken else LEGACY, self._because("QUOTA")
        return TRITON if bucket < share.threshold else LEGACY, self._because(share.reason)

    def _because(self, reason: Reason) -> Reason:
        return reason if self._by_state else self._unsure

    def _is_shadowed(self, detector: str, request_id: str) -> bool:
        return bucket_of(SHADOW_SALT, detector, request_id) < self._shadow

    def _share(self, fraction: float, reason: Reason, quota: Quota | None = None) -> _Share:
        threshold = threshold_of(fraction)
        if self.view.key == "request" or threshold == BUCKETS:
            return _Share(fraction, threshold, reason, None, fraction)
        known = (
            quota or Quota()
        )  # before a list is published nobody is in it: a guess would move cameras twice
        return _Share(fraction, threshold, reason, known.taken(fraction), known.share_taken(fraction))


def _off(view: View) -> Reason | None:
    """Why nothing may touch Triton. With legacy off there is nobody else to serve a cold start."""
    if view.kill_switch:
        return "KILL_SWITCH"
    if view.state is None:
        return "COLD_START" if view.legacy_enabled else None
    return None if view.state.enabled else "DISABLED"
