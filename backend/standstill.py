"""A process whose event loop stands still answers nobody, and looks alive to whoever supervises it.

It is ended instead, with the stacks of all its threads on stderr, and its supervisor starts another. The clock that
ends it is not Python's: it goes on where no Python does.
"""

from __future__ import annotations

import asyncio
import faulthandler

PATIENCE_S = (
    30.0  # as long as a worker's supervisor has: one that only got no processor for a while is not dead
)
LOOKS_PER_PATIENCE = 30


async def ended_at_a_standstill(patience_s: float = PATIENCE_S) -> None:
    try:
        while True:
            faulthandler.dump_traceback_later(patience_s, exit=True)
            await asyncio.sleep(patience_s / LOOKS_PER_PATIENCE)
    finally:
        faulthandler.cancel_dump_traceback_later()
