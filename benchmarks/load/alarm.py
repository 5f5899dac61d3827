"""Wakes an event loop at a moment, to some 0.1 ms: uvloop's own timers count in whole milliseconds.

On Linux by a timerfd (Python has it from 3.13 on; until then the C library is asked), elsewhere by the loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_MONOTONIC, _ABSOLUTE = 1, 1  # CLOCK_MONOTONIC, which perf_counter_ns reads too; TFD_TIMER_ABSTIME
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK  # what TFD_CLOEXEC and TFD_NONBLOCK are
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Timer(ctypes.Structure):
    """struct itimerspec: how often, and when first."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class Alarm:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rang = asyncio.Event()

    async def until(self, at_ns: int) -> None:
        """At once where the moment has passed."""
        if at_ns <= time.perf_counter_ns():
            return
        self._rang.clear()
        timer = _Timer(0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000)
        if _LIBC.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(timer), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        await self._rang.wait()

    def ring(self) -> None:
        os.read(self._descriptor, 8)
        self._rang.set()


class LoopAlarm:
    async def until(self, at_ns: int) -> None:
        while (left_ns := at_ns - time.perf_counter_ns()) > 0:
            await asyncio.sleep(left_ns / 1e9)


@contextmanager
def alarm() -> Iterator[Alarm | LoopAlarm]:
    """In a running event loop."""
    if not hasattr(_LIBC, "timerfd_create"):
        yield LoopAlarm()
        return
    descriptor = _LIBC.timerfd_create(_MONOTONIC, _FLAGS)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    loop, made = asyncio.get_running_loop(), Alarm(descriptor)
    loop.add_reader(descriptor, made.ring)
    try:
        yield made
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
