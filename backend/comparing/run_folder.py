"""A folder for what one comparison starts: held as long as its starter lives, and removed by it, or by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.stack.errors import StackError
from backend.stack.journal import Journal

PREFIX = "run-"


@contextmanager
def run_folder(above: Path) -> Iterator[Path]:
    """Kept until the next comparison when a side could not be started: its log is in it."""
    above.mkdir(parents=True, exist_ok=True)
    with _held(above):  # nobody sweeps a folder that is not held yet
        _sweep(above)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=above))
        mine = _hold(folder)
    try:
        yield folder
    except StackError:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(mine)


def _sweep(above: Path) -> None:
    """Those whose starter was killed, as soon as its guard has ended what it had started."""
    for folder in above.glob(f"{PREFIX}*"):
        if folder.is_dir() and not _is_held(folder) and not Journal(folder).known():
            shutil.rmtree(folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    try:
        os.close(_hold(folder))
    except OSError:
        return True
    return False


def _hold(folder: Path) -> int:
    """Until the descriptor is closed, or its process ends; OSError where somebody else holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """By one at a time; the others wait."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
