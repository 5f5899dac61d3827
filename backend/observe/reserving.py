"""The files of the workers' figures, with their place on the disk taken beforehand.

They are mapped into memory, and prometheus_client makes them with holes in them: on a full disk, whoever is the first
to write into one is ended by the kernel (SIGBUS), with all the callers that it holds. So, there is room for what is
written, or an OSError before anything is: then a figure is missing, and nobody else.
"""

from __future__ import annotations

import errno
import os

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

FIRST_BYTES = 1 << 16  # its own first size
_BESIDE_KEY_BYTES = 32  # of an entry: a length, a padding, two doubles
_CANNOT_RESERVE = {errno.EOPNOTSUPP, errno.EINVAL}  # a file system that does not know how is used as it is


def reserve_what_is_mapped() -> None:
    """In this process, for files that are opened from now on."""
    values.MmapedDict = ReservedDict  # type: ignore[attr-defined]  # the name that MmapedValue looks up


class ReservedDict(MmapedDict):
    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            with open(filename, "a+b") as file:  # noqa: PTH123 - as the library opens it
                _reserve(file.fileno(), FIRST_BYTES)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        needed = self._used + len(key.encode()) + _BESIDE_KEY_BYTES
        if needed > self._capacity:
            capacity = self._capacity
            while needed > capacity:
                capacity *= 2
            _reserve(self._f.fileno(), capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _reserve(descriptor: int, size_bytes: int) -> None:
    """OSError where there is no room."""
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        if error.errno not in _CANNOT_RESERVE:
            raise
