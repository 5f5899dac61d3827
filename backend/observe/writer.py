"""Where all lines of a process go: a thread of its own writes them, so that nobody waits for a full pipe."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Protocol

from backend.observe.lines import Format, line_of, stamp


class Stream(Protocol):
    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Writer:
    """While nobody reads, `places` lines wait; those after them are lost, and how many is said later.

    A line may come from anywhere, from a finaliser that the garbage collector runs in the midst of this very code too:
    so nothing here is held that such a line would wait for.
    """

    def __init__(
        self,
        stream: Stream,
        form: Format,
        places: int = 10_000,
        gather_s: float = 0.02,
    ) -> None:
        self._stream = stream
        self._line = line_of(form)
        self._places = places
        self._gather_s = gather_s  # one wake-up and one write for all the lines of that time
        self._waiting: SimpleQueue[str] = SimpleQueue()  # "" wakes, and is no line
        self._counting = threading.RLock()
        self._dropped = 0
        self._writing = threading.RLock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
        self._thread.start()

    def __call__(self, line: str) -> None:
        if self._waiting.qsize() < self._places:
            self._waiting.put(line)
        else:
            self._drop(1)
        if self._closing.is_set() and not self._thread.is_alive():
            self._write_all("")  # the last words of a process, after its `close`

    def close(self, timeout_s: float = 2.0) -> None:
        """What waits is written, as far as somebody reads it in time."""
        self._closing.set()
        self._waiting.put("")
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._write_all("")  # what came while it ended

    def _run(self) -> None:
        while not self._closing.is_set():
            first = self._waiting.get()
            self._closing.wait(self._gather_s)
            self._write_all(first)

    def _write_all(self, first: str) -> None:
        with self._writing:
            lines = self._taken(first)
            dropped = self._lost_before()
            told = [*lines, self._note(dropped)] if dropped else lines
            if not told:
                return
            try:
                self._stream.write("".join(f"{line}\n" for line in told))
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more, or the stream is closed
                self._drop(len(lines) + dropped)

    def _taken(self, first: str) -> list[str]:
        lines = [first]
        try:
            while True:
                lines.append(self._waiting.get_nowait())
        except Empty:
            pass
        return [line for line in lines if line]

    def _lost_before(self) -> int:
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _drop(self, count: int) -> None:
        with self._counting:
            self._dropped += count

    def _note(self, dropped: int) -> str:
        return self._line(
            {"ts": stamp(time.time()), "level": "warning", "event": "log_lines_dropped", "count": dropped}
        )
