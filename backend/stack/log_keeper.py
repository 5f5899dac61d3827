"""Keeps the parts' logs to their size while the parts run: `python -m backend.stack.log_keeper LOGS LOOK_S`.

LOGS is JSON. A process of its own, since `crossfade up --detach` comes back. It ends with the last part. When it is
killed the parts notice nothing; their logs grow then, which `crossfade status` says.
A log that somebody removed is written on without a name: nobody can read it, so it is cut and not copied.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from backend.stack.parts import Part
from backend.stack.rotation import LogBounds, rotate
from backend.stack.running import Running

LOOK_S = 1.0
_OVER = 2  # times the bound: no keeper that lives lets a log grow so far


def keep_logs(parts: Sequence[Part], running: Sequence[Running], look_s: float = LOOK_S) -> int | None:
    """Its process id; None where no part's log has a bound."""
    bounds = {part.name: part.log_bounds for part in parts}
    kept = [[asdict(one), asdict(bound)] for one in running if (bound := bounds.get(one.name))]
    if not kept:
        return None
    keeper = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", "backend.stack.log_keeper", json.dumps(kept), str(look_s)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    return keeper.pid


def overgrown(parts: Sequence[Part]) -> list[Path]:
    """Logs that nobody keeps to their size."""
    return [
        part.log for part in parts if part.log_bounds and _size(part.log) > _OVER * part.log_bounds.max_bytes
    ]


def nameless(running: Sequence[Running]) -> list[Path]:
    """Logs that were removed, or put elsewhere, under a part that writes on."""
    return [Path(one.log) for one in running if _output(one.pid) not in (None, _file(Path(one.log)))]


def _output(pid: int) -> tuple[int, int] | None:
    return _file(Path(f"/proc/{pid}/fd/1"))


def _file(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def cut_nameless(pid: int, bounds: LogBounds) -> None:
    """Only the disk would notice it."""
    with Path(f"/proc/{pid}/fd/1").open("r+b", buffering=0) as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode) and not found.st_nlink and found.st_size > bounds.max_bytes:
            os.ftruncate(file.fileno(), 0)


def _look(one: Running, bounds: LogBounds) -> None:
    with suppress(OSError):  # a full disk: the next look tries again
        rotate(Path(one.log), bounds)
    for pid in {one.pid, *one.left_over}:
        with suppress(OSError):
            cut_nameless(pid, bounds)


def main() -> None:
    look_s = float(sys.argv[2])
    kept = [(Running(**one), LogBounds(**bounds)) for one, bounds in json.loads(sys.argv[1])]
    while any(one.alive or one.left_over for one, _ in kept):
        for one, bounds in kept:
            _look(one, bounds)
        time.sleep(look_s)


if __name__ == "__main__":
    main()
