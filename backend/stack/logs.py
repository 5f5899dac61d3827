"""The parts' logs as one stream: each line with its part's name, on through rotation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from backend.stack.parts import Part
from backend.stack.processes import last_lines
from backend.stack.rotation import kept

Tell = Callable[[str], None]
_POLL_S = 0.2


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
    """One log, from its end on; a file that takes its place is read from its beginning."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        self._file = self._opened()
        self._half = b""
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def news(self) -> list[str]:
        """The whole lines that came since the last look."""
        text = self._rest()
        if self._was_replaced():
            text += self._rest()  # what was written between the look and the replacement
            self._close()
        elif self._was_cut():
            text += self._copied_aside()
            self._close()
        if self._file is None:
            self._file = self._opened()
            text += self._rest()
        *whole, self._half = (self._half + text).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def _rest(self) -> bytes:
        return self._file.read() if self._file is not None else b""

    def _was_replaced(self) -> bool:
        return self._file is not None and self.path.exists() and not _same(self._file, self.path)

    def _was_cut(self) -> bool:
        return self._file is not None and os.fstat(self._file.fileno()).st_size < self._file.tell()

    def _copied_aside(self) -> bytes:
        """What was written behind the last look, out of the copy: the same bytes stand there at the same places."""
        try:
            with kept(self.path, 1).open("rb") as copy:
                copy.seek(self._file.tell() if self._file is not None else 0)
                return copy.read()
        except OSError:
            return b""

    def _opened(self) -> IO[bytes] | None:
        with suppress(OSError):
            return self.path.open("rb")
        return None

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _same(file: IO[bytes], path: Path) -> bool:
    with suppress(OSError):
        return Path(f"/proc/self/fd/{file.fileno()}").samefile(path)
    return False


def _logs_of(parts: Iterable[Part]) -> list[tuple[str, Path]]:
    widest = max((len(part.name) for part in parts), default=0)
    return [(part.name.ljust(widest), log) for part in parts for log in part.logs]
