"""One process at a time, by a lock on a file. The lock of a process that died is free."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RETRY_S = 0.005


@contextmanager
def locked(path: Path, patience_s: float) -> Iterator[None]:
    """TimeoutError, an OSError, where another holds it for too long."""
    descriptor = _acquired(path, time.monotonic() + patience_s)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquired(path: Path, ends_at: float) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait(descriptor, path, ends_at)
            if _is_still(descriptor, path):
                return descriptor
            if time.monotonic() >= ends_at:
                raise TimeoutError(f"{path} is deleted again and again")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    """Not so where it was deleted while we waited: then the next one locks another file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _wait(descriptor: int, path: Path, ends_at: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= ends_at:
                raise TimeoutError(f"{path} is held by another process") from None
        time.sleep(RETRY_S)
