"""Workers that share their flags on one machine of its own, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.observe.events import Event
from backend.rollout.control import Rollout
from backend.rollout.stores.opening import open_store
from backend.settings import Settings

PATIENCE_S = 30.0  # SQLite itself tries for 10 s where files vanish under several connections


class House:
    """A machine: its var, its .env, and workers that are started on it. Its store is a file, or where a URL says."""

    def __init__(self, tmp_path: Path, store_url: str = "") -> None:
        tmp_path.mkdir(exist_ok=True)
        self.store_url = store_url
        self.var = tmp_path / "var"
        self.env = tmp_path / ".env"
        self.db = self.var / "crossfade.db"
        self.events: list[Event] = []
        self._workers: list[Rollout] = []
        self.say(0.1)

    def say(self, fraction: float | None, enabled: str = "true") -> None:
        words = "" if fraction is None else f"TRITON_TRAFFIC_FRACTION={fraction}\n"
        self.env.write_text(f"TRITON_ENABLED={enabled}\n{words}")

    def worker(self, name: str = "a", **settings: Any) -> Rollout:
        quick = {"rollout_poll_s": 0.01, "rollout_env_poll_s": 0.01, "rollout_heartbeat_s": 0.1} | settings
        quick = {"rollout_store": self.store_url} | quick
        made = Settings(_env_file=None, crossfade_var=self.var, **quick)  # type: ignore[call-arg]
        rollout = Rollout.opened(made, self.events.append, name, self.env)
        self._workers.append(rollout)
        return rollout

    async def start(self, name: str = "a", **settings: Any) -> Rollout:
        rollout = self.worker(name, **settings)
        await rollout.start()
        return rollout

    async def stop(self, rollout: Rollout) -> None:
        self._workers.remove(rollout)
        await rollout.stop()

    async def close(self) -> None:
        for rollout in self._workers:
            await rollout.stop()

    def break_store(self) -> None:
        """What stands there is no database."""
        for path in self.var.glob("crossfade.db*"):
            path.unlink()
        self.db.write_text("rubbish, as long as a page of it\n" * 200)

    def mend_store(self) -> None:
        self.db.unlink()

    def who(self) -> list[str]:
        store = open_store(self.store_url or f"sqlite:///{self.db}")
        try:
            return [change.who for change in reversed(store.history(100))]
        finally:
            store.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)
