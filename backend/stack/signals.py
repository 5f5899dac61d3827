"""What ends the command, and the moments that must not be cut in two."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TOGETHER_S = 0.5  # a group is told, and its parent tells it again: `timeout`, make and systemd do
Handler = Callable[..., Any] | int | None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM, and the terminal that is closed, end the block as Ctrl-C does. What comes together with the first signal
    does not disturb the ending."""
    with _handled(_Words(lambda _: _interrupt()).hear):
        yield


@contextmanager
def asked_to_end(stop: Callable[[], None]) -> Iterator[None]:
    """The first signal calls `stop`, so that all ends well; the next one ends the block as Ctrl-C does."""
    with _handled(_Words(lambda nth: stop() if nth == 1 else _interrupt()).hear):
        yield


@contextmanager
def held() -> Iterator[Callable[[], bool]]:
    """No signal ends the block; the function says whether one came."""
    came = []
    with _handled(lambda *_: came.append(True)):
        yield lambda: bool(came)


class _Words:
    """Signals that come together are one word."""

    def __init__(self, act: Callable[[int], None]) -> None:
        self._act = act  # is given the word's number
        self._heard = 0
        self._last = float("-inf")

    def hear(self, *_: object) -> None:
        now = time.monotonic()
        if now - self._last < _TOGETHER_S:
            return
        self._last = now
        self._heard += 1
        self._act(self._heard)


@contextmanager
def _handled(handler: Callable[..., None]) -> Iterator[None]:
    """A signal that is ignored stays so: that is how `nohup` works."""
    heard = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before: dict[signal.Signals, Handler] = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _interrupt() -> None:
    raise KeyboardInterrupt
