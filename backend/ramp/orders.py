"""What a person asks of a ramp: start, pause, resume, approve, abort. What cannot be is refused in a sentence.

The detector None stands for all of them: of those that the order can be given to, and of at least one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from uuid import uuid4

from ai.triton.comparing.certificate import Standing
from backend.ramp.certificates import Certificates
from backend.ramp.phrases import percent
from backend.ramp.serving import served_fraction
from backend.rollout.control import LostUpdate, NotPossible, Rollout
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.settings import Settings

LEAST_SHADOW = 0.1  # a ramp without comparisons would wait for ever
TRIES = 20  # against others that change the flags at the same moment

Alter = Callable[[RolloutState, str], RolloutState]
"""The state with one detector's ramp changed; NotPossible where it cannot be."""


class Orders:
    def __init__(
        self,
        rollout: Rollout,
        settings: Settings,
        certificates: Certificates,
        detectors: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rollout = rollout
        self._settings = settings
        self._certificates = certificates
        self._detectors = tuple(detectors)
        self._clock = clock

    async def start(
        self,
        detector: str | None,
        *,
        who: str,
        reason: str,
        steps: Sequence[float] | None = None,
        gates: Sequence[float] | None = None,
        dry_run: bool = False,
        force: bool = False,
    ) -> RolloutState:
        """From the last step that Triton has already, or the first; `force` needs a reason, and no certificate."""
        self._require_startable(reason, force)
        standings = await self._standings(detector)
        planned = Ramp(
            id="",
            steps=_steps(steps or self._settings.ramp_steps),
            gates=_gates(self._settings.ramp_gates if gates is None else gates),
            dry_run=dry_run,
            forced=reason if force else "",
        )

        def started(state: RolloutState, name: str) -> RolloutState:
            _require_free(state, name)
            if not (force or standings[name].holds):
                raise NotPossible(f"{name}: {standings[name].reason}. --force with a reason does without.")
            now, fraction = self._clock(), state.fraction_of(name)
            before = _step_before(planned.steps, fraction, name)
            ramp = replace(
                planned,
                id=uuid4().hex[:12],
                step=before,
                started_at=now,
                step_at=now,
                rolled_back=_was_rolled_back(state, name),
            )
            return replace(state.with_ramp(name, ramp), shadow=max(state.shadow, LEAST_SHADOW))

        return await self._ordered(detector, started, who, f"ramp started: {reason}")

    async def pause(self, detector: str | None, *, who: str, reason: str) -> RolloutState:
        """Nothing is promoted; evidence still counts, and still rolls back."""

        def paused(state: RolloutState, name: str) -> RolloutState:
            return state.with_ramp(name, replace(_running(state, name), paused=f"by {who}: {reason}"))

        return await self._ordered(detector, paused, who, f"ramp paused: {reason}")

    async def resume(self, detector: str | None, *, who: str, reason: str) -> RolloutState:
        """A fraction that was changed by hand is that of the step again, and evidence begins anew then."""

        def resumed(state: RolloutState, name: str) -> RolloutState:
            ramp = _running(state, name)
            if not ramp.paused:
                raise NotPossible(f"The ramp of {name} is not paused.")
            going, wanted = replace(ramp, paused=""), served_fraction(ramp)
            if wanted is None or wanted == state.fraction_of(name):
                return state.with_ramp(name, going)
            return state.with_ramp(name, going.begun_anew(self._clock()), wanted)

        return await self._ordered(detector, resumed, who, f"ramp resumed: {reason}")

    async def approve(self, detector: str | None, *, who: str, reason: str) -> RolloutState:
        """The next gate on the way, and no further one."""

        def approved(state: RolloutState, name: str) -> RolloutState:
            ramp = _running(state, name)
            if ramp.next_gate is None:
                raise NotPossible(f"No step of {name} waits for approval.")
            return state.with_ramp(name, replace(ramp, approved=ramp.next_gate))

        return await self._ordered(detector, approved, who, f"ramp approved: {reason}")

    async def abort(self, detector: str | None, *, who: str, reason: str) -> RolloutState:
        """The ramp is over, and Triton's share stays as it is; `rollout rollback` is what takes it away."""

        def aborted(state: RolloutState, name: str) -> RolloutState:
            ramp, share = _running(state, name), percent(state.fraction_of(name))
            return state.with_ramp(name, ramp.over(f"aborted by {who}, Triton stays at {share}: {reason}"))

        return await self._ordered(detector, aborted, who, f"ramp aborted, fractions stay: {reason}")

    # --- how an order becomes a change --------------------------------------------------------------------

    async def _ordered(self, detector: str | None, alter: Alter, who: str, reason: str) -> RolloutState:
        names = self._named(detector)
        state = await self._rollout.read()
        for _ in range(TRIES):
            after = _altered(state, names, alter)  # refused before anything is written

            def unchanged(_current: RolloutState, after: RolloutState = after) -> RolloutState:
                return after

            words = reason + _about_shadow(state, after)
            try:
                return await self._rollout.step(unchanged, who=who, reason=words, version=state.version)
            except LostUpdate as lost:
                state = lost.current
        raise NotPossible("The flags are changed by others all the time; try again.")

    def _named(self, detector: str | None) -> tuple[str, ...]:
        if detector is not None and detector not in self._detectors:
            raise NotPossible(
                f"There is no detector {detector!r}; there are {', '.join(sorted(self._detectors))}."
            )
        return self._detectors if detector is None else (detector,)

    def _require_startable(self, reason: str, force: bool) -> None:
        if not self._settings.legacy_enabled:
            raise NotPossible("LEGACY_ENABLED=false: there is no legacy to compare with, nor to go back to.")
        view = self._rollout.flags.view
        if view.kill_switch:
            raise NotPossible("TRITON_ENABLED=false: nothing may touch Triton, so there is nothing to ramp.")
        if force and not reason.strip():
            raise NotPossible("--force needs a reason; it is kept in the history.")

    async def _standings(self, detector: str | None) -> dict[str, Standing]:
        def read() -> dict[str, Standing]:
            return {name: self._certificates.standing(name) for name in self._named(detector)}

        return await asyncio.to_thread(read)


def _altered(state: RolloutState, names: Sequence[str], alter: Alter) -> RolloutState:
    """Of several detectors, those that it is possible for; the first refusal where there is none."""
    after, refusals = state, []
    for name in names:
        try:
            after = alter(after, name)
        except NotPossible as refusal:
            refusals.append(refusal)
    if len(refusals) == len(names):
        raise refusals[0]
    return after


def _about_shadow(before: RolloutState, after: RolloutState) -> str:
    if before.shadow == after.shadow:
        return ""
    return f" (shadow set from {percent(before.shadow)} to {percent(after.shadow)}: a ramp needs comparisons)"


def _running(state: RolloutState, name: str) -> Ramp:
    ramp = state.ramps.get(name)
    if ramp is None or not ramp.is_on:
        raise NotPossible(f"{name} has no ramp that is on.")
    return ramp


def _require_free(state: RolloutState, name: str) -> None:
    if not state.enabled:
        raise NotPossible("Triton is switched off; `crossfade rollout enable` switches it on.")
    ramp = state.ramps.get(name)
    if ramp is not None and ramp.is_on:
        raise NotPossible(f"{name} has a ramp already ({ramp.phase}); `crossfade ramp abort` ends it.")


def _was_rolled_back(state: RolloutState, name: str) -> bool:
    """A new ramp gives pins to Triton nothing back before its first step."""
    before = state.ramps.get(name)
    return before is not None and before.rolled_back


def _steps(steps: Sequence[float]) -> tuple[float, ...]:
    if not steps or steps[0] <= 0 or steps[-1] > 1 or any(a >= b for a, b in pairwise(steps)):
        words = ", ".join(f"{step:g}" for step in steps)
        raise NotPossible(f"The steps are {words or 'none'}; they must rise, from over 0 to at most 1.")
    return tuple(float(step) for step in steps)


def _gates(gates: Sequence[float]) -> tuple[float, ...]:
    if any(not 0 < gate <= 1 for gate in gates):
        raise NotPossible("A gate is a fraction, over 0 and at most 1.")
    return tuple(sorted(float(gate) for gate in gates))


def _step_before(steps: Sequence[float], fraction: float, name: str) -> int:
    """Before the last step that Triton has already: what was given by hand is earned first."""
    if fraction >= steps[-1]:
        raise NotPossible(
            f"Triton has {percent(fraction)} of {name} already, and the last step is {percent(steps[-1])}."
        )
    return max(-1, sum(step <= fraction for step in steps) - 2)
