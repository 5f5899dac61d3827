"""Become another program that dies with its parent: `python leash.py PARENT_ID PROGRAM ARGUMENT…`.

The wish to die is the kernel's to keep (PR_SET_PDEATHSIG), so it holds when the parent is killed with -9. It is
about the parent's *thread* that started us, and survives exec: a program cannot be asked to make it for itself.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() == parent:  # otherwise it went before we could ask
        os.execv(program[0], program)  # noqa: S606 - the supervisor's own command, no shell


if __name__ == "__main__":
    main()
