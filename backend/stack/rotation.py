"""A log that somebody else writes into, kept to a bounded size: what it holds is copied aside, then it is cut short.

The parts were born with the file as their stdout and stderr, and C code that they load writes there too: nobody can
make them open another. A pipe with a reader in between would lose nothing, but with its reader dead a part would die
of SIGPIPE, and with its reader stopped it would stand still. So the file keeps its name and its inode, the parts
notice nothing, and whoever cuts it may die at any time. The price: a line that is written between the last look at
the size and the cut, some microseconds, is lost.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedWriter, FileIO
from pathlib import Path

LINE_TRIES, LINE_S = 20, 0.005  # how long a line that is half written is waited for
MOST_FILES = 100  # that LOG_FILES allows; `backend.log.20261122` is somebody's own
_GIVE_UP = 2  # times the bound: where no copy can be written, what was said goes rather than the disk


@dataclass(frozen=True, slots=True)
class LogBounds:
    max_bytes: int  # of one file
    files: int  # the one that is written into, and the older ones


def kept(log: Path, number: int) -> Path:
    """`backend.log.1` is what was written before `backend.log`, and so on."""
    return log.with_name(f"{log.name}.{number}")


def make_place(log: Path, older: int) -> None:
    """For one more `.log.1`, and `older` of them with it: each moves on by one, the oldest goes."""
    _drop_oldest(log, older)
    for number in range(older - 1, 0, -1):
        with suppress(FileNotFoundError):
            kept(log, number).replace(kept(log, number + 1))


def _drop_oldest(log: Path, older: int) -> None:
    """All that may not stay beside one more, also where more were kept once."""
    for path in log.parent.iterdir():
        name, _, number = path.name.rpartition(".")
        if name == log.name and number.isdecimal() and older <= int(number) <= MOST_FILES:
            path.unlink(missing_ok=True)


def begin_anew(log: Path, older: int) -> None:
    """What an earlier run wrote is moved aside."""
    if not log.exists():
        _drop_oldest(log, older + 1)
        return
    make_place(log, older)
    if older:
        log.replace(kept(log, 1))
    else:
        log.unlink()


def rotate(log: Path, bounds: LogBounds, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether it had to be cut. May raise OSError, and has lost nothing then, unless it is over twice the bound."""
    with log.open("r+b", buffering=0) as file:
        if _size(file) <= bounds.max_bytes:
            return False
        if bounds.files > 1:
            try:
                _copy_aside(file, log, bounds.files - 1, sleep)
            except OSError:
                _draft(log).unlink(missing_ok=True)
                if _size(file) <= _GIVE_UP * bounds.max_bytes:
                    raise
        os.ftruncate(file.fileno(), 0)
    return True


def _copy_aside(file: FileIO, log: Path, older: int, sleep: Callable[[float], None]) -> None:
    """Complete when this returns, but for what is written just then. Where it raises, `.1` is what it was."""
    _drop_oldest(log, older)  # first: a full disk may have no room for one more
    with _draft(log).open("wb") as copy:
        os.fchmod(copy.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        _copy_to_the_end(file, copy, sleep)
    make_place(log, older)
    _draft(log).replace(kept(log, 1))
    with (
        suppress(OSError),
        kept(log, 1).open("ab") as copy,
    ):  # raising now would have the next look copy it all again
        _copy_to_the_end(file, copy, sleep)


def _copy_to_the_end(file: FileIO, copy: BufferedWriter, sleep: Callable[[float], None]) -> None:
    """Of a line, if one comes."""
    for _ in range(LINE_TRIES):
        shutil.copyfileobj(file, copy)
        copy.flush()  # all of it or OSError: a write that is not buffered may be short
        if not _ends_a_line(file):
            sleep(LINE_S)
        elif _size(file) == file.tell():
            return


def _draft(log: Path) -> Path:
    return log.with_name(f"{log.name}.part")


def _ends_a_line(file: FileIO) -> bool:
    file.seek(-1, os.SEEK_CUR)
    return file.read(1) == b"\n"


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size
