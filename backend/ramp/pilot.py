"""Leads the ramps: each worker runs one, a lease in the store decides which of them acts.

A look notes what the next leader has to know, tells what it saw, and moves a ramp by one compare-and-set of the state.
A leader that dies between any two of these loses nothing: the next one finds the state before the step or after it,
and decides again from the same books.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ai.triton.comparing.certificate import Standing
from backend.observe.events import ChangeKind, Observer, RampRolledBack
from backend.ramp.certificates import Certificates
from backend.ramp.deciding import Decided, Situation, decide
from backend.ramp.figures import Policy, compact
from backend.ramp.freezing import Freeze
from backend.ramp.holding import Conditions, waits_for_a_person
from backend.ramp.looks import Look, look_record
from backend.ramp.noted import Noted, noted_record
from backend.ramp.telling import Telling
from backend.rollout.books import Counts
from backend.rollout.control import LostUpdate, NotPossible, Rollout, StoreAway
from backend.rollout.ramps import Ramp, book_of
from backend.rollout.state import RolloutState
from backend.rollout.store import Store
from backend.settings import DETECTORS, Settings

logger = logging.getLogger(__name__)

WHO = "ramp"
KILLED = "TRITON_ENABLED=false"


@dataclass(frozen=True, slots=True)
class _Found:
    """What the store holds of one detector's ramp."""

    counts: Counts
    noted: Noted
    last: Look | None  # of this epoch


class Pilot:
    def __init__(
        self,
        rollout: Rollout,
        settings: Settings,
        certificates: Certificates,
        headroom: Callable[[str], float | None],
        worker_id: str,
        observe: Observer,
    ) -> None:
        """BadSetting where RAMP_FREEZE cannot be read."""
        self._rollout = rollout
        self._settings = settings
        self._policy = Policy.of(settings)
        self._freeze = Freeze.parsed(settings.ramp_freeze)
        self._certificates = certificates
        self._headroom = headroom
        self._worker_id = worker_id
        self._observe = observe
        self._telling = Telling(observe)
        self._noted: dict[str, Noted] = {}  # should the store lose it with the books
        self._kept: tuple[str, ...] | None = None  # the books that were not forgotten
        self._complained = ""

    async def run(self) -> None:
        while True:
            try:
                await self.look()
                self._complained = ""
            except (StoreAway, LostUpdate, NotPossible) as error:
                self._complain(f"the ramp waits: {error}", type(error).__name__)
            except Exception:
                logger.exception("the ramp could not be looked at; nothing was moved")
            await asyncio.sleep(self._settings.ramp_look_s)

    async def close(self) -> None:
        """Another worker may lead at once."""
        with contextlib.suppress(StoreAway):
            await self._rollout.ask(lambda store: store.resign(self._worker_id))

    async def look(self) -> None:
        """Once. Nothing happens by a state that may be an old one, nor without the lease."""
        view = self._rollout.flags.view
        state = view.state
        if state is None or view.stale:
            self._telling.leads(set())
            return
        self._telling.stands(state)
        led = {detector for detector, ramp in state.ramps.items() if ramp.is_on}
        if led and not await self._rollout.ask(self._lead):
            led = set()
        self._telling.leads(led)
        if not led:
            return
        await self._forget_books(state)
        for detector, ramp in state.ramps.items():
            if not ramp.is_on:
                continue
            if view.kill_switch:
                await self._end(detector, state.version)
                return
            if await self._steer(detector, ramp, state):
                return  # the state is another one now

    def _lead(self, store: Store) -> bool:
        return store.lead(self._worker_id, self._settings.ramp_lease_s)

    # --- one ramp -----------------------------------------------------------------------------------------

    async def _steer(self, detector: str, ramp: Ramp, state: RolloutState) -> bool:
        """Whether it was moved, or somebody else leads now."""
        now, found = await self._rollout.ask(lambda store: (store.now(), self._found(store, detector, ramp)))
        conditions = await self._conditions(detector, ramp, state, found, now)
        trail = found.last.trail if found.last else ()
        situation = Situation(detector, ramp, found.counts, found.noted, conditions, self._policy, now, trail)
        decided = await asyncio.to_thread(decide, situation)  # milliseconds, for the bands
        if not await self._rollout.ask(lambda store: self._keep(store, decided)):
            return True
        self._noted[detector] = decided.noted
        self._telling.disagreement(detector, found.counts)
        self._telling.waits(detector, self._waits_for_a_person(decided, conditions))
        self._log_dry(found.last, decided)
        if decided.ramp == ramp:
            return False
        await self._move(decided, state.version)
        return True

    def _found(self, store: Store, detector: str, ramp: Ramp) -> _Found:
        counts = store.counts(book_of(detector, ramp))
        text, mine = store.record(noted_record(detector)), self._noted.get(detector)
        noted = Noted.read(text, ramp.epoch)
        if text is None and mine is not None and mine.epoch == ramp.epoch:
            noted = mine
        return _Found(counts, noted, _last(store.record(look_record(detector)), ramp.epoch))

    def _keep(self, store: Store, decided: Decided) -> bool:
        """What is noted first: no step may be made that the next leader cannot account for."""
        detector = decided.look.detector
        return store.keep(noted_record(detector), decided.noted.to_json(), self._worker_id) and store.keep(
            look_record(detector), json.dumps(decided.look.to_table()), self._worker_id
        )

    async def _move(self, decided: Decided, version: int) -> None:
        look = decided.look

        def moved(state: RolloutState) -> RolloutState:
            return state.with_ramp(look.detector, decided.ramp, decided.fraction)

        kind: ChangeKind = "rollback" if look.action == "roll back" else "ramp"
        was_made = await self._step(look.detector, moved, look.words, version, compact(look), kind)
        if was_made and kind == "rollback":
            self._observe(RampRolledBack(look.detector))

    async def _end(self, detector: str, version: int) -> None:
        """By the kill switch. What the ramp gave Triton is not given again when the switch is lifted."""

        def ended(state: RolloutState) -> RolloutState:
            ramp = state.ramps[detector]
            gave = ramp.step >= 0 and ramp.phase != "baseline" and not ramp.dry_run
            back = 0.0 if gave and self._settings.legacy_enabled else None
            return state.with_ramp(detector, ramp.over(KILLED), back)

        await self._step(detector, ended, f"ramp over: {KILLED}", version, None)

    async def _step(
        self,
        detector: str,
        alter: Callable[[RolloutState], RolloutState],
        words: str,
        version: int,
        figures: dict[str, Any] | None,
        kind: ChangeKind = "ramp",
    ) -> bool:
        try:
            state = await self._rollout.step(
                alter, who=WHO, reason=words, version=version, figures=figures, kind=kind
            )
        except LostUpdate:
            return False  # whatever it is now is looked at next time
        logger.info("ramp of %s: %s", detector, words)
        self._telling.stands(state)
        return True

    # --- what it is held against --------------------------------------------------------------------------

    async def _conditions(
        self, detector: str, ramp: Ramp, state: RolloutState, found: _Found, now: float
    ) -> Conditions:
        versions = {ramp.model_version, *found.noted.grown(found.counts, now).versions}
        standings = await asyncio.to_thread(self._standings, detector, versions)
        return Conditions(
            lambda version: standings[version],
            self._headroom(detector),
            state.shadow,
            state.enabled,
            self._freeze.frozen(datetime.fromtimestamp(now, UTC).astimezone()),
            self._settings.legacy_enabled,
        )

    def _waits_for_a_person(self, decided: Decided, conditions: Conditions) -> bool:
        ramp, noted = decided.ramp, decided.noted
        version = noted.current_version() if ramp.phase == "baseline" else ramp.model_version
        return waits_for_a_person(ramp, decided.look.waits_for, version, conditions, self._policy)

    def _standings(self, detector: str, versions: Iterable[str]) -> dict[str, Standing]:
        return {version: self._certificates.standing(detector, version) for version in versions}

    async def _forget_books(self, state: RolloutState) -> None:
        """Those of ramps before the last one; that one can still be reported on when it has ended."""
        detectors = sorted({*DETECTORS, *state.ramps})
        kept = (
            *(f"{detector}/idle" for detector in detectors),
            *(f"{detector}/{ramp.id}." for detector, ramp in sorted(state.ramps.items())),
        )
        if kept != self._kept:
            await self._rollout.ask(lambda store: store.forget_books(kept))
            self._kept = kept

    def _log_dry(self, last: Look | None, decided: Decided) -> None:
        look = decided.look
        if decided.ramp.dry_run and look.action != "hold" and (last is None or last.action != look.action):
            logger.info("dry run of %s: %s", look.detector, look.words)

    def _complain(self, words: str, kind: str) -> None:
        if kind != self._complained:
            logger.warning(words)
        self._complained = kind


def _last(text: str | None, epoch: str) -> Look | None:
    """A look that cannot be read is as good as none."""
    try:
        look = Look.from_table(json.loads(text)) if text else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return look if look is not None and look.epoch == epoch else None
