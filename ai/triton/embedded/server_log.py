"""Triton's log: line by line into files of bounded size, its last lines at hand for who must explain an end."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

_LINE_BYTES = 64 * 1024  # one longer than this is cut into several
_REMEMBERED_LINES = 500
_STAMP = re.compile(r'^\S+ [A-Z] \d+ \S+\] "?|"?\s*$')  # 2026-11-21T03:01:12Z I 6680 main.cc:257] "…"
_PARSE_ERROR = re.compile(r"Error parsing text-format inference\.ModelConfig: (.+)")


class ServerLog:
    def __init__(self, path: Path, max_bytes: int, files: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._recent: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self._handler = RotatingFileHandler(
            path, maxBytes=max_bytes, backupCount=files - 1, encoding="utf-8", errors="replace"
        )

    def pump(self, stream: IO[bytes]) -> None:
        """Until every process that writes into it has ended."""
        while line := stream.readline(_LINE_BYTES):
            self.write(line.decode(errors="replace").rstrip("\n"))

    def write(self, line: str) -> None:
        self._recent.append(line)
        self._handler.handle(logging.makeLogRecord({"msg": line}))

    def forget(self) -> None:
        """What was said so far is of an earlier server."""
        self._recent.clear()

    def close(self) -> None:
        self._handler.close()

    def tail(self, lines: int = 10) -> list[str]:
        return [line for line in self._recent if line.strip()][-lines:]

    def why_it_ended(self) -> str:
        """The last complaint, without its time stamp; the last line where nobody complained."""
        lines = self.tail(_REMEMBERED_LINES)
        complaints = [line for line in lines if _complains(line)]
        return _STAMP.sub("", (complaints or lines or ["it said nothing"])[-1])

    def why_not_read(self, model: str) -> str | None:
        """Why Triton could not even read a model's folder: the API does not say it, only the log does."""
        return reason_in(list(self._recent), model)


def reason_in(lines: Iterable[str], model: str) -> str | None:
    found, parse_error = None, ""
    about = re.compile(
        rf"(?:Poll failed for model directory|failed to load model) '{re.escape(model)}': (.+)"
    )
    for line in lines:
        if match := _PARSE_ERROR.search(line):
            parse_error = match[1].strip()
        elif match := about.search(line):
            reason = _STAMP.sub("", match[1])
            found = f"{reason}: {parse_error}" if parse_error and "text proto" in reason else reason
            parse_error = ""
    return found


def _complains(line: str) -> bool:
    stamped = re.match(r"^\S+ E \d+ ", line) is not None
    return stamped or "error while loading shared libraries" in line or line.startswith("error:")
