"""A file of JSON lines, each there as a whole or not at all, whatever ends the one who writes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from backend.batch.errors import CannotBatch
from backend.private_files import drafted

MAX_LINE_BYTES = 8 * 1024 * 1024  # three hundred boxes have 60 KB; what is longer was no line of ours
_COPIED_BYTES = 1024 * 1024

Line = Mapping[str, Any]
Wanted = Callable[[Line], bool]


class Sheet:
    def __init__(self, path: Path) -> None:
        self.path = path
        with in_words(path):
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            self._bytes = os.fstat(self._file).st_size

    def write(self, line: Line) -> None:
        """What did not fit is taken back: a disk that is full leaves no half line."""
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        with in_words(self.path):
            try:
                _write_all(self._file, data)
            except OSError:
                os.ftruncate(self._file, self._bytes)
                raise
        self._bytes += len(data)

    def close(self) -> None:
        with in_words(self.path):
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)


def mend(path: Path, wanted: Wanted) -> None:
    """Leaves the lines that are whole and wanted, in their order; a file that has nothing else is not touched.

    A half line at the end, as a kill leaves it, is cut off where it lies. Only what is missing from the middle makes a
    new file, which takes the name when it is complete.
    """
    with in_words(path):
        if not path.exists():
            return
        kept = _kept(path, wanted)
        if len(kept) > 1 or (kept and kept[0][0] > 0):
            _rewrite(path, kept)
        elif path.stat().st_size > (end := kept[0][1] if kept else 0):
            os.truncate(path, end)


def _kept(path: Path, wanted: Wanted) -> list[tuple[int, int]]:
    """From where to where, in bytes."""
    kept: list[tuple[int, int]] = []
    with path.open("rb") as file:
        begin = 0
        for data in _lines(file):
            end = begin + len(data)
            if _is_wanted(data, wanted):
                if kept and kept[-1][1] == begin:
                    begin = kept.pop()[0]
                kept.append((begin, end))
            begin = end
    return kept


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while data := file.readline(MAX_LINE_BYTES):
        yield data


def _is_wanted(data: bytes, wanted: Wanted) -> bool:
    if not data.endswith(b"\n"):
        return False
    try:
        line = json.loads(data)
        return isinstance(line, dict) and wanted(line)
    except (ValueError, RecursionError):
        return False


def _rewrite(path: Path, kept: list[tuple[int, int]]) -> None:
    with path.open("rb") as old, drafted(path) as new:
        os.fchmod(new.fileno(), stat.S_IMODE(os.fstat(old.fileno()).st_mode))
        for begin, end in kept:
            _copy(old, new, begin, end)


def _copy(old: BinaryIO, new: BinaryIO, begin: int, end: int) -> None:
    old.seek(begin)
    left = end - begin
    while left:
        left -= new.write(old.read(min(_COPIED_BYTES, left)))


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """What the disk has against it, as a sentence."""
    try:
        yield
    except OSError as error:
        raise CannotBatch(f"{path}: {error.strerror}") from error
