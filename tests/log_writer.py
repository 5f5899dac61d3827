"""Writes numbered lines to its stdout as the parts do: `python -m tests.log_writer NAME LINES PROCESSES`.

Its processes share one open file, as a backend's workers do. Each line is one write, and each waits a moment at times.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

WIDTH = 200
PATIENCE_S = 30.0


def line_of(name: str, number: int) -> str:
    return f"{name} {number:07} ".ljust(WIDTH - 1, "x")


def until(holds: Callable[[], bool]) -> None:
    """For those who watch what becomes of the lines."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def main() -> None:
    name, lines, processes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for index in range(1, processes):
        if os.fork() == 0:
            write(f"{name}{index}", lines)
            os._exit(0)
    write(f"{name}0", lines)
    while processes > 1:
        os.wait()
        processes -= 1


def write(name: str, lines: int) -> None:
    for number in range(lines):
        os.write(1, f"{line_of(name, number)}\n".encode())
        if number % 5 == 0:
            time.sleep(0.001)


if __name__ == "__main__":
    main()
