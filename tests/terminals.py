"""A terminal and a pipe to write to, and what came out of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO


class Terminal:
    """A real one: its other end is read here, until `said`."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        self.stream: TextIO = os.fdopen(theirs, "w", encoding="utf-8")
        self._bytes = bytearray()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    @contextmanager
    def everything(self) -> Iterator[None]:
        """Whatever this process writes goes there."""
        with redirect_stdout(self.stream), redirect_stderr(self.stream):
            yield

    def said(self) -> str:
        """Closes it."""
        self.stream.close()
        self._reading.join(10)
        return self._bytes.decode()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._ours, 65536):
                self._bytes += chunk
        except OSError:
            pass  # the other end was closed
        os.close(self._ours)
