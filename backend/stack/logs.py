"""The parts' logs as one stream: each line with its part's name, on through rotation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from backend.stack.parts import Part
from backend.stack.processes import last_lines
from backend.stack.rotation import MOST_FILES, kept

Tell = Callable[[str], None]
_POLL_S = 0.2
_MARK_BYTES = 256  # a line with its time


def show(parts: Iterable[Part], lines: int, tell: Tell) -> None:
    for name, log in _logs_of(parts):
        if log.exists() and lines:
            for line in last_lines(log, lines).splitlines():
                tell(f"{name} | {line}")


def follow(parts: Sequence[Part], lines: int, tell: Tell, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Until somebody interrupts it."""
    followed = [Followed(name, log) for name, log in _logs_of(parts)]
    show(parts, lines, tell)
    while goes_on():
        for one in followed:
            for line in one.news():
                tell(f"{one.name} | {line}")
        time.sleep(_POLL_S)


@dataclass
class Followed:
    """One log, from its end on; a file that takes its place is read from its beginning.

    It was cut if it is shorter than what was read, or holds something else just before that place, or is shorter than
    a copy that was not there at the last look.
    """

    name: str
    path: Path

    def __post_init__(self) -> None:
        self._half = self._mark = b""
        self._copy_seen = _look(kept(self.path, 1))
        self._file = self._opened()
        if self._file is not None:
            self._file.seek(max(0, os.fstat(self._file.fileno()).st_size - _MARK_BYTES))
            self._rest()

    def news(self) -> list[str]:
        """The whole lines that came since the last look."""
        copy = _look(kept(self.path, 1))  # first: what is copied behind this look is none that was seen
        if self._was_cut(copy):
            text = self._copied_aside()
            self._close()
        else:
            text = self._rest()
            if self._was_replaced():
                text += self._rest()  # what was written between the look and the replacement
                self._close()
        if self._file is None:
            self._file = self._opened()
            text += self._rest()
        self._copy_seen = copy
        *whole, self._half = (self._half + text).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def _rest(self) -> bytes:
        text = self._file.read() if self._file is not None else b""
        self._mark = (self._mark + text)[-_MARK_BYTES:]
        return text

    def _was_replaced(self) -> bool:
        return self._file is not None and self.path.exists() and not _same(self._file, self.path)

    def _was_cut(self, copy: Look | None) -> bool:
        if self._file is None:
            return False
        size = os.fstat(self._file.fileno()).st_size
        if size < self._file.tell() or not self._stands_in(self._file):
            return True
        return copy is not None and copy != self._copy_seen and size < copy.size

    def _stands_in(self, file: IO[bytes]) -> bool:
        """What was read last, at the place where it was read."""
        place = self._file.tell() - len(self._mark) if self._file is not None else 0
        return os.pread(file.fileno(), len(self._mark), place) == self._mark

    def _copied_aside(self) -> bytes:
        """What was written behind the last look, out of the copies that were made since, be it several."""
        text = b""
        place = self._file.tell() if self._file is not None else 0
        for copy in self._copies_since():
            if self._stands_in(copy):
                copy.seek(place)
                return copy.read() + text
            text = copy.read() + text
        return text

    def _copies_since(self) -> Iterator[IO[bytes]]:
        """The newest first."""
        for number in range(1, MOST_FILES + 1):
            try:
                copy = kept(self.path, number).open("rb")
            except OSError:
                return
            with copy:
                if Look.of(os.fstat(copy.fileno())) == self._copy_seen:
                    return
                yield copy

    def _opened(self) -> IO[bytes] | None:
        with suppress(OSError):
            return self.path.open("rb")
        return None

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._mark = b""


@dataclass(frozen=True, slots=True)
class Look:
    """At a copy: its number alone would not do, as file systems give that of a removed file to the next one."""

    inode: int
    written_ns: int
    size: int

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        return cls(found.st_ino, found.st_mtime_ns, found.st_size)


def _look(path: Path) -> Look | None:
    with suppress(OSError):
        return Look.of(path.stat())
    return None


def _same(file: IO[bytes], path: Path) -> bool:
    with suppress(OSError):
        return Path(f"/proc/self/fd/{file.fileno()}").samefile(path)
    return False


def _logs_of(parts: Iterable[Part]) -> list[tuple[str, Path]]:
    widest = max((len(part.name) for part in parts), default=0)
    return [(part.name.ljust(widest), log) for part in parts for log in part.logs]
