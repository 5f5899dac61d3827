"""Keeps one worker's knowledge of the flags: what the store, the journal and the environment say, and who wins.

The newest known state wins, wherever it is known from. An empty store is filled with it, one that went back gets it
again; one that is away leaves it in force. Everything here waits for files: it runs in a thread, one call at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from ai.core.errors import BadSetting
from backend.rollout.complaints import Complaints
from backend.rollout.crew import Crew, Worker
from backend.rollout.environment import EnvironmentWatch, LastSeen
from backend.rollout.flags import View
from backend.rollout.journal import Journal
from backend.rollout.owed import ENVIRONMENT, RolledBackHere, changes_since, is_settled
from backend.rollout.patching import changed, readable, require_served, words
from backend.rollout.quota import Quota, Traffic
from backend.rollout.rereading import Rereading
from backend.rollout.state import RolloutState
from backend.rollout.store import Change, LostUpdate, NotPossible, Store, StoreAway

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 50  # against others that change the flags at the same moment


class Keeper:
    def __init__(
        self,
        store: Store,
        journal: Journal,
        environment: EnvironmentWatch,
        last_seen: LastSeen,
        worker: Worker,
        traffic: Traffic,
    ) -> None:
        self._store, self._journal = store, journal
        self._environment, self._last_seen = environment, last_seen
        self._worker = worker
        self.crew = Crew(store, worker, traffic)
        self._known: Change | None = None
        self._state: RolloutState | None = None  # of what is known
        self._owed: Change | None = None  # a rollback that the store has not heard of
        self._quotas: Mapping[str, Quota] = {}
        self._environment_due = True
        self._complaints = Complaints(logger)
        self._rereading = Rereading(store)
        self.trouble = ""  # why the store is away
        self.environment_changes = 0  # that this worker made of the flags
        self.view = self._view()

    # --- looking ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """BadSetting where the state that is found leaves requests to nobody."""
        with self._renewing():
            self._environment.first_look()
            self._read_journal()
            self._look_at_store()
            self._heed_environment()
        if self._state is not None and not self.view.kill_switch:
            try:
                self._require_possible(self._state)
            except NotPossible as error:
                raise BadSetting(str(error)) from error

    def look(self) -> None:
        with self._renewing():
            self._environment_due |= self._environment.look()
            self._read_journal()
            self._look_at_store()
            if self._environment_due:
                self._heed_environment()

    def _look_at_store(self) -> None:
        try:
            if self.trouble and self._rereading.is_vain():
                return
            if self.trouble or self._known is None or self._owed or self._store.changed():
                self._agree()
        except StoreAway as away:
            self._rereading.failed(away)
            if not self.trouble:
                logger.warning("the flags stay as they are: %s", away)
            self.trouble = str(away)
            return
        if self.trouble:
            logger.warning("the store of the flags is back")
        self.trouble = ""

    def _agree(self) -> Change:
        """The newest known state, which then stands in the store."""
        for _ in range(TRIES):
            snapshot = self._store.read()
            stored = snapshot.change
            wanted = self._wanted(stored)
            if wanted is stored or self._store.write(wanted, stored.version if stored else None):
                self._quotas = snapshot.quotas
                self._know(wanted, settles=self._owed)
                self._owed = None
                return wanted
        raise StoreAway("The flags are changed by others all the time.")

    def _wanted(self, stored: Change | None) -> Change:
        newest, owed = self._newest(stored), self._owed
        if owed is None or newest == owed or is_settled(owed, changes_since(self._store, owed)):
            return newest
        after = newest.state.rolled_back(f"rolled back by {owed.who}")
        return replace(self._made(newest.state, after, owed.who, owed.reason), at=owed.at)

    def _newest(self, stored: Change | None) -> Change:
        if stored is None:
            self._read_journal()
            return self._known or self._first()
        readable(stored)
        return self._known if self._known and self._known.version > stored.version else stored

    def _first(self) -> Change:
        """What this machine's store before held, or what the environment says."""
        brought: Change | None = None
        with self._complaints.of("the journal cannot be read"):
            brought = self._journal.newest_of_the_store_before()
        if brought:
            return brought
        state = self._environment.said.first_state(self._worker.legacy_enabled)
        return Change.made(None, state, who=ENVIRONMENT, reason="first start", at=self._store.now())

    def _know(self, change: Change, *, owed: bool = False, settles: Change | None = None) -> bool:
        """Whether it stands in the journal."""
        if self._known == change and settles is None:
            return True
        self._known, self._state, written = change, change.state, False
        with self._complaints.of("the journal cannot be written"):
            self._journal.append(change, owed=owed, settles=settles)
            written = True
        return written  # noqa: RET504 - the block may have ended before it was written

    def _read_journal(self) -> None:
        """Another worker of this machine may have been the last one to reach the store, or may not reach it."""
        with self._complaints.of("the journal cannot be read"):
            grew = self._journal.grew()
            newest = self._journal.newest() if grew else None
            if grew and self._worker.legacy_enabled:  # without it, there is nothing to roll back to
                self._owed = self._journal.owed(self._owed)
            if newest and self._is_news(newest):
                self._known, self._state = newest, newest.state

    def _is_news(self, newest: Change) -> bool:
        """A rollback that was said again while it is owed comes under the version that it had."""
        known = self._known
        if known is None or newest.version > known.version:
            return True
        return newest == self._owed and newest.version == known.version

    # --- changing -----------------------------------------------------------------------------------------

    def change(self, patch: Mapping[str, Any], *, who: str, reason: str, version: int | None) -> Change:
        def altered(current: RolloutState) -> RolloutState:
            if version is not None and version != current.version:
                raise LostUpdate(current)
            after = changed(current, patch, who, self._store.now())
            self._require_possible(after)
            return after

        with self._renewing():
            return self._change(altered, who, reason)

    def step(
        self,
        alter: Callable[[RolloutState], RolloutState],
        *,
        who: str,
        reason: str,
        version: int,
        figures: dict[str, Any] | None,
    ) -> Change:
        """A ramp's own change, of the version that it was decided for and of no other."""

        def altered(current: RolloutState) -> RolloutState:
            if version != current.version:
                raise LostUpdate(current)
            after = alter(current)
            self._require_possible(after)
            return after

        with self._renewing():
            return self._change(altered, who, reason, figures)

    def rollback(self, *, who: str, reason: str) -> Change:
        if not self._worker.legacy_enabled:
            raise NotPossible("LEGACY_ENABLED=false: there is no side to roll back to.")
        with self._renewing():
            try:
                return self._change(lambda state: state.rolled_back(f"rolled back by {who}"), who, reason)
            except StoreAway as away:
                in_journal = self._roll_back_alone(who, reason)
                raise RolledBackHere(away, in_journal) from away

    def _change(
        self,
        altered: Callable[[RolloutState], RolloutState],
        who: str,
        reason: str,
        figures: dict[str, Any] | None = None,
    ) -> Change:
        for _ in range(TRIES):
            current = self._agree().state
            change = self._made(current, altered(current), who, reason, figures)
            if self._store.write(change, current.version):
                self._know(change)
                return change
        raise StoreAway("The flags are changed by others all the time.")

    def _roll_back_alone(self, who: str, reason: str) -> bool:
        """Whether it stands in the journal, which the other workers of this machine follow.

        One that is said again is the same change, said later: this machine is never ahead of its store by more than a
        version, so that no version is named by requests and missing in the history.
        """
        if self._owed and self._owed == self._known:
            self._owed = replace(self._owed, who=words(who), reason=words(reason), at=self._store.now())
        else:
            before = self._state or RolloutState()
            self._owed = self._made(before, before.rolled_back(f"rolled back by {who}"), who, reason)
        return self._know(self._owed, owed=True)

    def _made(
        self,
        before: RolloutState,
        after: RolloutState,
        who: str,
        reason: str,
        figures: dict[str, Any] | None = None,
    ) -> Change:
        return Change.made(
            before,
            replace(after, version=before.version + 1),
            who=words(who),
            reason=words(reason),
            at=self._store.now(),
            figures=figures,
        )

    def _heed_environment(self) -> None:
        """Of all workers of this machine, the first one to see another value makes it a change."""
        if not self._worker.legacy_enabled:
            self._environment.pass_over(self._state)
            self._environment_due = False
            return
        said = self._environment.said.shares
        with self._complaints.of("what the environment says of the flags waits"):
            with self._last_seen.held():
                if not self._environment.is_current():
                    return
                seen = self._last_seen.read()
                if seen is not None:
                    self._obey_environment(
                        {name: said[name] for name in said if said[name] != seen.get(name)}
                    )
                if seen is None or said.items() - seen.items():
                    self._last_seen.write(said)
            self._environment_due = False

    def _obey_environment(self, patch: Mapping[str, float]) -> None:
        if patch:
            there = ", ".join(f"{name} is {share:g} there now" for name, share in patch.items())
            self.change(patch, who=ENVIRONMENT, reason=there, version=None)
            self.environment_changes += 1

    def _require_possible(self, state: RolloutState) -> None:
        if not self._worker.legacy_enabled:
            require_served(state)

    def ask(self, work: Callable[[Store], T]) -> T:
        """Whatever else is kept beside the flags."""
        return work(self._store)

    # --- the other workers --------------------------------------------------------------------------------

    def confirm(self, version: int) -> None:
        """That this worker is alive and obeys `version`."""
        with self._renewing(), self._complaints.of("this worker's heartbeat waits"):
            self._quotas = self.crew.confirm(version, self._quotas)

    def history(self, limit: int) -> tuple[Change, ...]:
        return self._store.history(limit)

    def subscribe(self, wake: Callable[[], None]) -> None:
        with suppress(StoreAway):
            self._store.subscribe(wake)

    def close(self) -> None:
        with suppress(StoreAway):
            self._store.forget(self._worker.name)
            self._store.resign(self._worker.name)
        self._store.close()

    # --- what is obeyed -----------------------------------------------------------------------------------

    def _view(self) -> View:
        return View(
            self._state,
            self._environment.said.kill_switch,
            bool(self.trouble),
            self._quotas,
            self._worker.legacy_enabled,
            self._worker.key,
        )

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.view = self._view()
