"""The flags of one worker: what it obeys, how it hears of changes, and how changes are made.

    rollout = Rollout.opened(settings, observer, worker_id)
    await rollout.start()
    decision = rollout.flags.decide(detector, camera, request_id)

All waiting for files happens in one thread of its own; what this worker obeys changes on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from backend.observe.events import ChangeKind, FlagsChanged, FlagsSeen, Observer
from backend.rollout.crew import Worker
from backend.rollout.environment import EnvironmentWatch, LastSeen
from backend.rollout.flags import Flags
from backend.rollout.journal import Journal
from backend.rollout.quota import Traffic
from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import Beat, Change, LostUpdate, NotPossible, Store, StoreAway
from backend.rollout.stores.opening import open_store, store_name
from backend.rollout.watch import Keeper
from backend.settings import DETECTORS, ENV_FILE, Settings

__all__ = [
    "Beat", "Change", "InvalidState", "LostUpdate", "NotPossible", "RolledBack", "Rollout", "StoreAway",
]  # fmt: skip

logger = logging.getLogger(__name__)

ACK_POLL_S = 0.02
MOST_ACKS = 3  # times the usual wait, where the workers have to be found again first

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RolledBack:
    state: RolloutState
    pending: tuple[str, ...]  # live workers that have not confirmed it in time


class Rollout:
    """`flags` decides; `traffic` is told of each request, for ROLLOUT_KEY=camera-quota."""

    def __init__(
        self,
        keeper: Keeper,
        traffic: Traffic,
        observer: Observer,
        poll_s: float,
        ack_s: float,
        trust_s: float,
    ) -> None:
        self.flags = Flags()
        self.traffic = traffic
        self._keeper = keeper
        self._observer = observer
        self._poll_s = poll_s
        self._ack_s = ack_s
        self._trust_s = trust_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollout")
        self._watching: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()  # somebody wrote to the store
        self._confirmed = -1
        self._environment_changes = 0  # that were told
        self._stopped = False

    @classmethod
    def opened(
        cls, settings: Settings, observer: Observer, worker_id: str, env_file: Path = ENV_FILE
    ) -> Rollout:
        """Nothing is read before `start`."""
        traffic = Traffic(settings.quota_window_s)
        var = settings.crossfade_var
        beat_s = settings.rollout_heartbeat_s
        worker = Worker(worker_id, beat_s, settings.rollout_key, settings.legacy_enabled)
        url = settings.store_url
        keeper = Keeper(
            open_store(url),
            Journal(var / "rollout-history.jsonl", store_name(url)),
            EnvironmentWatch(env_file, settings.rollout_env_poll_s),
            LastSeen(var / "run" / "rollout-environment.json"),
            worker,
            traffic,
        )
        poll_s = min(settings.rollout_poll_s, beat_s)
        return cls(keeper, traffic, observer, poll_s, settings.rollout_ack_s, worker.trust_s)

    async def start(self) -> None:
        """BadSetting where the state leaves requests to nobody. A store that is away does not keep it from starting."""
        try:
            await self._in_thread(self._keeper.begin)
        except BaseException:
            await self.stop()
            raise
        await self._obey()
        await self._in_thread(partial(self._keeper.subscribe, self._waker()))
        self._watching = asyncio.create_task(self._watch(), name="rollout")

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        if not self._stopped:
            self._stopped = True
            await self._in_thread(self._keeper.close)
            self._thread.shutdown(wait=False)

    @property
    def stale(self) -> bool:
        return self.flags.view.stale

    def workers(self) -> tuple[Beat, ...]:
        """The live ones, as of the last heartbeat."""
        return self._keeper.crew.live

    async def read(self) -> RolloutState:
        """What is obeyed: of a store that is away, the last state that was seen."""
        await self._in_thread(self._keeper.look)
        self._adopt()
        state = self.flags.view.state
        if state is None:
            raise StoreAway("The flags were never read: " + self._keeper.trouble)
        return state

    async def change(
        self, patch: Mapping[str, Any], *, who: str, reason: str, version: int | None
    ) -> RolloutState:
        """`patch` holds whole values; `version` is what the caller saw, None for whatever is there."""
        change = await self._in_thread(
            partial(self._keeper.change, patch, who=who, reason=reason, version=version)
        )
        self._observer(FlagsChanged("hand"))
        await self._obey()
        return change.state

    async def step(
        self,
        alter: Callable[[RolloutState], RolloutState],
        *,
        who: str,
        reason: str,
        version: int,
        figures: dict[str, Any] | None = None,
        kind: ChangeKind = "hand",
    ) -> RolloutState:
        """A ramp's change of exactly this version; LostUpdate where somebody was faster."""
        change = await self._in_thread(
            partial(self._keeper.step, alter, who=who, reason=reason, version=version, figures=figures)
        )
        self._observer(FlagsChanged(kind))
        await self._obey()
        return change.state

    async def ask(self, work: Callable[[Store], T]) -> T:
        """What is kept beside the flags: books, records, samples, the lease. May raise StoreAway."""
        return await self._in_thread(partial(self._keeper.ask, work))

    async def rollback(self, *, who: str, reason: str) -> RolledBack:
        """Every fraction at legacy, in every live worker. StoreAway says how far it got without the store."""
        try:
            change = await self._in_thread(partial(self._keeper.rollback, who=who, reason=reason))
            self._observer(FlagsChanged("rollback"))
        except StoreAway:
            self._observer(FlagsChanged("rollback"))  # this worker obeys it all the same
            raise
        finally:
            await self._obey()
        return RolledBack(change.state, await self._unconfirmed(change.version))

    async def history(self, limit: int = 100) -> tuple[Change, ...]:
        """Newest first."""
        return await self._in_thread(partial(self._keeper.history, limit))

    async def _unconfirmed(self, version: int) -> tuple[str, ...]:
        crew = self._keeper.crew
        patience_s = min(max(self._ack_s, crew.whole_in_s), MOST_ACKS * self._ack_s)
        ends_at = time.monotonic() + patience_s
        while True:
            is_last = (
                time.monotonic() > ends_at
            )  # asked first: the last look is made when all the time has passed
            pending = await self._in_thread(partial(crew.unconfirmed, version))
            if not pending or is_last:
                return pending
            await asyncio.sleep(ACK_POLL_S)

    async def _watch(self) -> None:
        while True:
            try:
                looked_at = time.monotonic()
                await self._in_thread(self._keeper.look)
                self._adopt()
                self.flags.trust_until(looked_at + self._trust_s)
                await self._obey()
            except Exception:
                logger.exception("the flags could not be looked at; what was obeyed stays")
            await self._awaken()

    async def _awaken(self) -> None:
        """At the next look that is due, or when the store says that there is something to see."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._woken.wait()
        self._woken.clear()

    def _waker(self) -> Callable[[], None]:
        """From any thread, and after the end too."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._woken.set)

        return wake

    async def _obey(self) -> None:
        """Confirmed at once, and not before it is obeyed: a rollback waits for it."""
        self._adopt()
        self._tell_of_the_environment()
        state = self.flags.view.state
        version = state.version if state else 0
        if version != self._confirmed or self._keeper.crew.beat_is_due:
            await self._in_thread(partial(self._keeper.confirm, version))
            self._confirmed = version

    def _adopt(self) -> None:
        view = self._keeper.view
        if view == self.flags.view and self._watching is not None:
            return
        self.flags.show(view)
        self._observer(self._seen())

    def _tell_of_the_environment(self) -> None:
        made = self._keeper.environment_changes
        for _ in range(made - self._environment_changes):
            self._observer(FlagsChanged("environment"))
        self._environment_changes = made

    def _seen(self) -> FlagsSeen:
        view, flags = self.flags.view, self.flags
        state = view.obeyed
        detectors = sorted({*DETECTORS, *state.overrides})
        return FlagsSeen(
            enabled=flags.triton_on,
            version=state.version,
            stale=view.stale,
            asked={detector: state.fraction_of(detector) for detector in detectors},
            effective={detector: flags.effective_fraction(detector) for detector in detectors},
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
