"""The backend under a wall clock that a test sets: `python -m tests.chaos.stepped_clock "the wall clock"`.

Nothing gives a process a wall clock of its own, so `time.time` is patched before anything of the backend is imported:
it reads by how many seconds it is off from a file. The kernel's other clocks stay what they are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from grpc.aio import _utils as aio

FILE = Path("wall-clock")  # beside the backend's .env
OWN_CLOCK = "the wall clock"
STEADY = "clocks that nobody sets"
_true, _steady = time.time, time.monotonic
LOOK_S = 0.01


class SteppedClock:
    def __init__(self) -> None:
        self._off_s, self._due_at = 0.0, 0.0

    def __call__(self) -> float:
        if _steady() >= self._due_at:
            self._due_at = _steady() + LOOK_S
            self._off_s = float(FILE.read_text() or 0) if FILE.exists() else 0.0
        return _true() + self._off_s


def set_wall_clock() -> None:
    """But not gRPC's half in Python: it adds up with its half in C, which asks the kernel for the same clock."""
    aio.time = SimpleNamespace(time=_true)  # type: ignore[attr-defined]
    time.time = SteppedClock()  # type: ignore[assignment]


def trust_the_wall_clock() -> None:
    """Every deadline, breaker and lease by the clock that somebody may set."""
    time.monotonic = time.time


CLOCKS: dict[str, Callable[[], None]] = {OWN_CLOCK: set_wall_clock, STEADY: trust_the_wall_clock}


def main(names: list[str]) -> None:
    for name in names:
        if name in CLOCKS:
            CLOCKS[name]()
    from backend import serve  # noqa: PLC0415 - it keeps the clocks that it finds
    from tests.chaos import undefended  # noqa: PLC0415

    undefended.patch([name for name in names if name not in CLOCKS])
    serve.main()


if __name__ == "__main__":
    main(sys.argv[1:])
