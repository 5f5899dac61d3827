"""Become another program that dies with its parent: `python leash.py PARENT_ID PROGRAM ARGUMENT…`.

The wish to die is the kernel's to keep (PR_SET_PDEATHSIG), so it holds when the parent is killed with -9. It is
about the parent's *thread* that started us, and survives exec: a program cannot be asked to make it for itself.
What the program starts in its turn is looked after by `remains.py`.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
REMAINS = Path(__file__).with_name("remains.py")


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if os.getpgrp() == os.getpid() and os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-I", "-S", str(REMAINS)])  # noqa: S606 - a file of ours
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() == parent:  # otherwise it went before we could ask
        os.execv(program[0], program)  # noqa: S606 - the supervisor's own command, no shell


if __name__ == "__main__":
    main()
