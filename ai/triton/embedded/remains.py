"""End what is left of a process group when its leader has ended: `python remains.py`, as a child of that leader.

A model's process may wait for ever for a lock in shared memory that a killed server held, and would be nobody's.
"""

import os
import signal
import time
from pathlib import Path

GRACE_S = 3.0  # in which the others may follow by themselves
POLL_S = 0.2


def main() -> None:
    """Nothing of the leader's stays open here: whoever reads what it says sees the end of it."""
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    leader = os.getpgrp()
    while os.getppid() == leader:
        time.sleep(POLL_S)
    ends_at = time.monotonic() + GRACE_S
    while others_in(leader) and time.monotonic() < ends_at:
        time.sleep(POLL_S)
    os.killpg(leader, signal.SIGKILL)


def others_in(group: int) -> bool:
    return any(group_of(path) == group for path in Path("/proc").iterdir() if _is_another(path.name))


def _is_another(name: str) -> bool:
    return name.isdigit() and int(name) != os.getpid()


def group_of(process: Path) -> int:
    """0: of one that has ended, waited for or not."""
    try:
        state, _, group, *_ = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state in "ZX" else int(group)


if __name__ == "__main__":
    main()
