"""A worker's process without the rest of the backend: it may lead ramps, and adds evidence in which nothing is wrong.

    python -m tests.ramp_worker VAR ENV_FILE NAME LEASE_S

One JSON object a line goes out: when it leads, and each step that it sees. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from backend.observe.events import Event, RampStepped
from backend.ramp.pilot import Pilot
from backend.rollout.control import Rollout, StoreAway
from backend.rollout.ramps import book_of
from backend.rollout.store import Store
from backend.settings import Settings
from tests.ramp_house import CLEAN, LEGACY, Certified

DETECTOR = "yolo26"


def tell(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def observe(event: Event) -> None:
    if isinstance(event, RampStepped):
        tell(step=event.step)


class TellingPilot(Pilot):
    """Says so before it does anything with the lease."""

    def _lead(self, store: Store) -> bool:
        leads = super()._lead(store)
        if leads:
            tell(leads=True)
        return leads


async def recording(rollout: Rollout, name: str) -> None:
    """What a recorder would add, a step's worth at a time."""
    for serial in itertools.count(1):
        state = rollout.flags.view.state
        ramp = state.ramps.get(DETECTOR) if state else None
        if ramp is not None and ramp.is_on:
            counts = LEGACY if ramp.phase == "baseline" else CLEAN
            book = book_of(DETECTOR, ramp)
            with contextlib.suppress(StoreAway):
                await rollout.ask(
                    lambda store, book=book, counts=counts, serial=serial: store.add(
                        book, counts, name, serial
                    )
                )
        await asyncio.sleep(0.1)


async def main(var: str, env: str, name: str, lease_s: str) -> None:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, crossfade_var=Path(var), ramp_lease_s=float(lease_s), ramp_look_s=0.02, ramp_step_s=0,
    )  # fmt: skip
    rollout = Rollout.opened(settings, observe, name, Path(env))
    await rollout.start()
    pilot = TellingPilot(rollout, settings, Certified(), lambda detector: 2.0, name, observe)
    tasks = [asyncio.create_task(work) for work in (pilot.run(), recording(rollout, name))]
    tell(ready=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await pilot.close()
    await rollout.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
