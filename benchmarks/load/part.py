"""One of several generator processes: `python -m benchmarks.load.part`, which `several.py` starts and talks to.

It reads what to send as one line of JSON, begins (a closed loop) or gets ready (an open one), says so, is told the
common moment, and ends by saying what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks import loadgen
from benchmarks.load import open_loop
from benchmarks.load.opening import Opening, when_told
from benchmarks.load.outcome import Outcome
from benchmarks.wire import NotLoopbackError

CLOSED, OPEN = "closed", "open"


@dataclass(frozen=True, slots=True)
class Order:
    loop: str  # closed or open
    bodies: tuple[Path, ...]
    settings: dict[str, Any]  # of a Load or an OpenLoad, but for the bodies

    @property
    def line(self) -> bytes:
        return json.dumps({**asdict(self), "bodies": [str(path) for path in self.bodies]}).encode() + b"\n"


_ORDER = TypeAdapter(Order)
_CLOSED, _OPEN = TypeAdapter(loadgen.Load), TypeAdapter(open_loop.OpenLoad)


def outcome_of(order: Order, opening: Opening) -> Outcome:
    settings = {**order.settings, "bodies": tuple(path.read_bytes() for path in order.bodies)}
    if order.loop == OPEN:
        return open_loop.outcome_of(_OPEN.validate_python(settings), opening)
    return loadgen.outcome_of(_CLOSED.validate_python(settings), opening)


def speak(outcome_of_line: Callable[[str], Outcome]) -> None:
    """A part's whole way; a generator of another protocol that speaks it can be one of several too."""
    line = sys.stdin.readline()
    if not line:
        sys.exit("nobody said what to send")
    try:
        outcome = outcome_of_line(line)
    except (NotLoopbackError, OSError) as error:
        sys.exit(str(error))
    _write(json.dumps(asdict(outcome)).encode())


def _write(said: bytes) -> None:
    """To the last byte: where Python does not buffer its output, print() drops what a full pipe did not take."""
    left = memoryview(said)
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


if __name__ == "__main__":
    speak(lambda line: outcome_of(_ORDER.validate_json(line), when_told))
