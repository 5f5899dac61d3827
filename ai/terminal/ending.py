"""How a command ends whatever happened: with a status, and at most one line on stderr; never with a traceback."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ai.terminal.printable import printable

INTERRUPTED, BROKEN_PIPE = 130, 141  # as a shell tells the ends by Ctrl-C and by a pipe that nobody reads


def ended(work: Callable[[], int], where: str, trace: bool = False) -> int:
    """`work` has told its own errors; with `trace` one that nobody thought of is shown with all its calls."""
    try:
        return work()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _leave_the_pipe()
        return BROKEN_PIPE
    except Exception as error:
        if trace:
            raise
        complain(f"{where}: {in_words(error)}")
        return 1


def in_words(error: Exception) -> str:
    """The system's complaints are about the machine; everything else is a fault of ours, and says where it is."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    return (
        f"unexpected {type(error).__name__}: {error} ({place}); a fault of Crossfade: --trace shows all of it"
    )


def complain(text: str) -> None:
    """Further lines are set off: they may be of others."""
    if sys.stderr is None:  # `2>&-`: what is meant for it is not for stdout
        return
    with suppress(OSError):
        print("\n  ".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def _leave_the_pipe() -> None:
    """Python writes what is left in its buffer at the end, and would complain of it."""
    with suppress(OSError, ValueError):
        sys.stdout = Path("/dev/null").open("w")  # noqa: SIM115 - until the process ends
