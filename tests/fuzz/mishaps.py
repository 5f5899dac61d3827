"""A target that breaks every promise once: whoever looks for defects must find these."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tests.fuzz.target import ACCEPTED, BrokenPromise

MEMORY_MB = 300
SLOW_S = 0.6
HANG_S = 600.0


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _escape() -> None:
    raise KeyError("nobody caught this")


def _break() -> None:
    raise BrokenPromise("planned")


def _swell() -> None:
    np.ones(MEMORY_MB * 1024 * 1024, np.uint8)


def _dawdle() -> None:
    time.sleep(SLOW_S)


def _chatter() -> None:
    os.write(2, b"libsomething warning: odd input\n")


def _hang() -> None:
    time.sleep(HANG_S)


MISHAPS: Mapping[int, tuple[str, Callable[[], None]]] = {
    3: ("crash or hang", _crash),
    5: ("KeyError", _escape),
    7: ("broken promise", _break),
    9: ("memory", _swell),
    11: ("time", _dawdle),
    13: ("noise", _chatter),
    15: ("crash or hang", _hang),
}


class Mishaps:
    name = "mishaps"
    memory_bound_mb = 64.0
    time_bound = 8.0

    def make(self, number: int, rng: random.Random) -> bytes:
        return b"%d" % number

    def ask(self, data: bytes) -> str:
        if (number := int(data)) in MISHAPS:
            MISHAPS[number][1]()
        return ACCEPTED

    def controls(self) -> Sequence[bytes]:
        return (b"0",)

    def close(self) -> None:
        return
