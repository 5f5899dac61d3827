"""A worker's process without the rest of the backend: it obeys the flags, and "asks Triton" where they say so.

    python -m tests.rollout_worker VAR ENV_FILE NAME HEARTBEAT_S

One word a line comes in, one JSON object a line goes out: what it obeys, whenever that changes, and the answers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from backend.observe.events import Event, FlagsSeen
from backend.rollout.control import Rollout, StoreAway
from backend.settings import Settings


def tell(**words: Any) -> None:
    sys.stdout.write(json.dumps({"at": time.time()} | words) + "\n")
    sys.stdout.flush()


def observe(event: Event) -> None:
    if isinstance(event, FlagsSeen):
        tell(version=event.version, on=event.enabled, fraction=event.asked["rtdetr"])


class Asking:
    """Decides one request after the other; each is attempted a moment after it was decided."""

    def __init__(self, rollout: Rollout) -> None:
        self._flags = rollout.flags
        self.attempts = 0
        self.last_at = 0.0

    async def run(self) -> None:
        for number in itertools.count():
            decision = self._flags.decide("rtdetr", None, str(number))
            await asyncio.sleep(0.002)
            if decision.backend == "triton" and self._flags.still(decision, "rtdetr", None, str(number)):
                self.attempts, self.last_at = self.attempts + 1, time.time()


async def main(var: str, env: str, name: str, heartbeat_s: str) -> None:
    settings = Settings(_env_file=None, crossfade_var=Path(var), rollout_heartbeat_s=float(heartbeat_s))  # type: ignore[call-arg]
    rollout = Rollout.opened(settings, observe, name, Path(env))
    await rollout.start()
    asking = Asking(rollout)
    task = asyncio.create_task(asking.run())
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        await obey(rollout, asking, *line)
    task.cancel()
    await rollout.stop()


async def obey(rollout: Rollout, asking: Asking, word: str, value: str = "") -> None:
    try:
        if word == "set":
            await rollout.change({"fraction": float(value)}, who="test", reason="told to", version=None)
            tell(done="set")
        elif word == "rollback":
            done = await rollout.rollback(who="test", reason="told to")
            tell(done="rollback", pending=done.pending)
        elif word == "attempts":
            tell(done="attempts", attempts=asking.attempts, last_at=asking.last_at)
    except StoreAway as error:
        tell(done=word, away=str(error))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
