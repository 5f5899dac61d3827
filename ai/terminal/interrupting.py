"""Ctrl-C while modules are imported: some of them make another error of it, and show a traceback."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def ended_at_once() -> Iterator[None]:
    """By the signal itself, which a shell tells as 130; so only while there is nothing to be left in order.
    Who ignores the signal, or handles it, goes on to."""
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with suppress(ValueError):  # only the main thread may say what a signal does
        if is_pythons:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        with suppress(ValueError):
            if is_pythons:
                signal.signal(signal.SIGINT, signal.default_int_handler)


def put_off() -> None:
    """Until `let_through`, also in the program that takes this one's place."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def let_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
