"""That the server is about to end, told while it still waits for its answers.

uvicorn tells the app only when the last answer is out: one that has no end of its own would hold it up for the whole
of its patience.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def ending_told(ended: Callable[[], None]) -> Iterator[None]:
    """Whoever handles the signals goes on doing so; only the main thread ever hears of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: handler for number in _ENDING if callable(handler := signal.getsignal(number))}
    for number, handler in before.items():
        signal.signal(number, _both(handler, lambda: loop.call_soon_threadsafe(ended)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _both(handler: Handler, tell: Callable[[], object]) -> Handler:
    def handle(number: int, frame: FrameType | None) -> None:
        tell()
        handler(number, frame)

    return handle
