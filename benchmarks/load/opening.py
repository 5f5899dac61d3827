"""When the window of a generator process opens: at once, or at a moment that is told to several processes alike.

A process that is told says `ready` on a line of its own and reads the moment, nanoseconds of the machine's
monotonic clock, which all its processes share. Its parent's end of the pipe being closed ends it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

Opening = Callable[[], Awaitable[int]]  # what the window waits for; the moment that it opens at

READY = "ready"


async def at_once() -> int:
    return time.perf_counter_ns()


async def when_told() -> int:
    print(READY, flush=True)
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    if not line:  # whoever was to tell it is gone
        raise SystemExit("left alone before the window opened")
    return int(line)


async def sleep_until(at_ns: int) -> None:
    await asyncio.sleep(max(0.0, (at_ns - time.perf_counter_ns()) / 1e9))
