"""Ends the parts when `crossfade up` is killed, or leaves some behind.

`python -m backend.stack.guard VAR ID`, with a pipe from it as input.
The pipe breaks with whoever holds its other end, also by SIGKILL. A word on it, and the parts are somebody else's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

RELEASED = b"released\n"


@contextmanager
def guarded(var: Path) -> Iterator[None]:
    """The block may be killed, or be left by an error: nothing that is on record by then runs on. Once it is left in
    peace, nobody watches."""
    command = [sys.executable, "-P", "-m", "backend.stack.guard", str(var), str(os.getpid())]
    with Popen(command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True) as guard:  # noqa: S603 - our own module
        released = b""
        try:
            yield
            released = RELEASED
        finally:
            guard.communicate(released)


def main() -> None:
    if sys.stdin.buffer.read() == RELEASED:
        return
    from backend.stack.journal import Journal  # noqa: PLC0415 - it waits without all that this needs

    journal, starter = Journal(Path(sys.argv[1])), int(sys.argv[2])
    orphans = [one for one in journal.known() if one.starter == starter]
    journal.end(orphans, tell=lambda _: None)


if __name__ == "__main__":
    main()
