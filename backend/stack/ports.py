"""Who holds a port of this machine."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from pathlib import Path

from ai.triton.embedded.process import command_of, listening


def why_not_free(port: int) -> str | None:
    """None for a port that a part could take now."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # what only waits for its time to pass is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return "taken" if error.errno == errno.EADDRINUSE else "not for this user"
    return None


def holder_of(port: int) -> tuple[int, str] | None:
    """The process that listens there and its name; None where that is another user's, whom we may not look at."""
    for path in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if port in listening(int(path.name)):
                return int(path.name), name_of(int(path.name))
    return None


def name_of(pid: int) -> str:
    """What a person would call it: the module of a Python, the program otherwise."""
    words = command_of(pid).split()
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    return Path(words[0]).name if words else "a process that has ended"


def words_of(holder: tuple[int, str] | None) -> str:
    return f"{holder[1]}, process {holder[0]}" if holder else "a process of another user"
