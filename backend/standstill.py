"""A process whose event loop stands still answers nobody, and looks alive to whoever supervises it.

It is ended instead, with the stacks of all its threads on stderr, and its supervisor starts another. What counts is how
often a thread of its own looked while the loop did nothing, not the time: a process that was stopped has not looked
either, and goes on. Where something keeps all threads from running, uvicorn's supervisor sees it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import threading
from dataclasses import dataclass, field

PATIENCE_S = (
    30.0  # as long as a worker's supervisor has: one that only got no processor for a while is not dead
)
LOOKS = 30  # within the patience


@dataclass
class _Heart:
    beats: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)


async def ended_at_a_standstill(patience_s: float = PATIENCE_S) -> None:
    heart, look_s = _Heart(), patience_s / LOOKS
    threading.Thread(target=_watch, args=(heart, look_s), name="standstill", daemon=True).start()
    try:
        while True:
            heart.beats += 1
            await asyncio.sleep(look_s / 2)
    finally:
        heart.stopped.set()


def _watch(heart: _Heart, look_s: float) -> None:
    seen, silent = heart.beats, 0
    while not heart.stopped.wait(look_s):
        silent = silent + 1 if heart.beats == seen else 0
        seen = heart.beats
        if silent >= LOOKS:
            faulthandler.dump_traceback(all_threads=True)
            os._exit(1)
