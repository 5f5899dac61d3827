"""A picture's bytes, as they lie: bounded, of a plain file, and of one moment."""

from __future__ import annotations

import os
import stat
from http import HTTPStatus
from pathlib import Path


class Unread(Exception):
    def __init__(self, words: str, *, again: bool, status: int | None = None) -> None:
        super().__init__(words)
        self.words, self.status = words, status
        self.again = again  # another time it may be there, or be allowed


def read_picture(path: bytes, most_bytes: int) -> bytes:
    """Unread where there is none, and where it changed under our hands."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - a pipe must not hold us
            before = os.fstat(file.fileno())
            _require_readable(before, most_bytes)
            data = file.read(before.st_size + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise Unread(f"it cannot be read: {error.strerror}", again=True) from error
    if len(data) != before.st_size or _moment(before) != _moment(after):
        raise Unread("it changed while it was read", again=True)
    return data


def size_of(path: bytes, most_bytes: int) -> int:
    """As far as it would be read; of what cannot be read, nothing."""
    try:
        return min(Path(os.fsdecode(path)).stat().st_size, most_bytes)
    except OSError:
        return 0


def _require_readable(found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Unread("it is no file", again=False)
    if found.st_size > most_bytes:
        raise Unread(
            f"it has {found.st_size:,} bytes, and more than {most_bytes:,} (MAX_IMAGE_BYTES) are not sent",
            again=False, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )  # fmt: skip


def _moment(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
