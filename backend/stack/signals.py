"""What ends the command, and the moments that must not be cut in two."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[..., Any] | int | None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM, and the terminal that is closed, end the block as Ctrl-C does."""
    with _handled(_interrupt):
        yield


@contextmanager
def asked_to_end(stop: Callable[[], None]) -> Iterator[None]:
    """The first signal calls `stop`, so that all ends well; the next one ends the block as Ctrl-C does."""
    came = []

    def hear(*_: object) -> None:
        came.append(True)
        if len(came) > 1:
            raise KeyboardInterrupt
        stop()

    with _handled(hear):
        yield


@contextmanager
def held() -> Iterator[Callable[[], bool]]:
    """No signal ends the block; the function says whether one came."""
    came = []
    with _handled(lambda *_: came.append(True)):
        yield lambda: bool(came)


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


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
