"""Workers that share a ramp on one store of memory; evidence is added as their recorders would add it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ai.triton.comparing.certificate import Standing
from backend.observe.events import Event
from backend.ramp.certificates import Certificates
from backend.ramp.orders import Orders
from backend.ramp.pilot import Pilot
from backend.rollout import control
from backend.rollout.books import bin_of
from backend.rollout.control import Rollout, StoreAway
from backend.rollout.ramps import Ramp, book_of
from backend.rollout.state import RolloutState
from backend.rollout.store import Store
from backend.rollout.stores.memory_store import MemoryStore
from backend.settings import Settings

DETECTORS = ("rtdetr", "yolo26")
FAST, SLOW = bin_of(0.05), bin_of(0.2)
QUICK = {"rollout_poll_s": 0.01, "rollout_env_poll_s": 0.01, "rollout_heartbeat_s": 0.2, "ramp_step_s": 0}

CLEAN = {
    "disagreement.0": 3000, "errors.0": 9000, f"time.triton.{FAST}": 2880, f"time.triton.{SLOW}": 120,
    "fresh.0": 95, "fresh.1": 5, "compared.same": 3000, "version.1": 3000, "class.person": 300,
    "camera.yard": 300, "light.day": 300,
}  # fmt: skip
LEGACY = {f"time.legacy.{bin_of(0.1)}": 400, "version.1": 40, "compared.same": 40, "class.person": 40}
BROKEN = {"errors.1": 80, "error.unavailable": 80, "errors.0": 20}


class Certified(Certificates):
    """For version 1 of every detector."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), {})
        self.version = "1"
        self.missing = False

    def standing(self, detector: str, version: str = "") -> Standing:
        if self.missing:
            return Standing(False, "there is no certificate")
        holds = version in ("", self.version)
        return Standing(holds, "parity" if holds else f"the certificate is for {self.version}, not {version}")


@dataclass(frozen=True)
class Crew:
    """One worker."""

    rollout: Rollout
    orders: Orders
    pilot: Pilot
    settings: Settings

    @property
    def state(self) -> RolloutState:
        state = self.rollout.flags.view.state
        assert state is not None
        return state

    def ramp(self, detector: str = "yolo26") -> Ramp:
        return self.state.ramps[detector]

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.rollout.read()
            await self.pilot.look()

    async def start(self, detector: str | None = "yolo26", **more: Any) -> RolloutState:
        return await self.orders.start(detector, who="anna", reason="it is time", **more)


class RampHouse:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir(exist_ok=True)
        self.store: Store = MemoryStore()
        self._monkeypatch = monkeypatch
        self.certificates = Certified()
        self.headroom: float | None = 2.0
        self.events: list[Event] = []
        self._var = folder / "var"
        self.env = folder / ".env"
        self._serials = itertools.count(1)
        self._crews: list[Crew] = []
        self.say(enabled=True)

    def say(self, *, enabled: bool, fraction: float | None = None) -> None:
        share = "" if fraction is None else f"TRITON_TRAFFIC_FRACTION={fraction}\n"
        self.env.write_text(f"TRITON_ENABLED={str(enabled).lower()}\n{share}")

    async def worker(self, name: str = "a", *, through: Store | None = None, **settings: Any) -> Crew:
        """Each has a machine of its own, and reaches the store `through` something if need be."""
        self._monkeypatch.setattr(control, "open_store", lambda url: through or self.store)
        made = Settings(_env_file=None, crossfade_var=self._var / name, **QUICK | settings)  # type: ignore[call-arg]
        rollout = Rollout.opened(made, self.events.append, name, self.env)
        pilot = Pilot(
            rollout, made, self.certificates, lambda detector: self.headroom, name, self.events.append
        )
        crew = Crew(rollout, Orders(rollout, made, self.certificates, DETECTORS), pilot, made)
        self._crews.append(crew)
        await rollout.start()
        return crew

    def add(self, crew: Crew, *counts: Mapping[str, int], detector: str = "yolo26") -> None:
        """To the book of the detector's epoch."""
        book = book_of(detector, crew.state.ramps.get(detector))
        for one in counts:
            self.store.add(book, one, "recorder", next(self._serials))

    async def measured(self, **settings: Any) -> Crew:
        """A worker whose ramp stands at its first step."""
        crew = await self.worker(**settings)
        await crew.start()
        self.add(crew, LEGACY)
        await crew.look()
        return crew

    async def close(self) -> None:
        for crew in self._crews:
            await crew.rollout.stop()


class Died(BaseException):
    """The leader's process is no more."""


class Crashing:
    """The way to a store: whoever uses it dies before or after one of its calls, or cannot reach it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.away = False
        self.dies_at: int | None = None  # at which call from now on, counted from 1
        self.after = False
        self.calls: list[str] = []

    def now(self) -> float:
        """It asks nobody."""
        return self.store.now()

    def subscribe(self, wake: object) -> None:
        """Nobody is woken: every call is one that the test makes."""

    def __getattr__(self, name: str) -> Any:
        def called(*arguments: Any, **named: Any) -> Any:
            if self.away:
                raise StoreAway("The store is away.")
            self.calls.append(name)
            dies = self.dies_at == len(self.calls)
            if dies and not self.after:
                raise Died
            answer = getattr(self.store, name)(*arguments, **named)
            if dies:
                raise Died
            return answer

        return called
