"""How far long work is, on stderr: a bar with rate and time left on a terminal, in a pipe a plain line every 10 s.

`with progress("batch", total, unit="pictures") as bar: bar.advance()`; nothing at all when quiet, as with --json.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TextIO

from ai.terminal.printable import printable, spelt_out
from ai.terminal.stream import is_redrawn, standard_error

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PIPE_S = 10.0
SHORT_S = 1.0
Clock = Callable[[], float]


class Progress(Protocol):
    """What the work tells of itself; `total` may become known, or change, on the way."""

    def advance(self, count: float = 1) -> None: ...

    def note(self, words: str) -> None:
        """Behind the figures, until there is another: "12 errors", "exporting yolo26"."""

    def expect(self, total: int | None) -> None: ...

    def say(self, *lines: str, to: Callable[[str], object] = print) -> None:
        """Lines that stay, which the bar makes room for."""


@contextmanager
def progress(
    what: str,
    total: int | None = None,
    unit: str = "",
    *,
    quiet: bool = False,
    short_s: float = SHORT_S,
    stream: TextIO | None = None,
    clock: Clock = time.monotonic,
) -> Iterator[Progress]:
    """The last word is a line that sums up, unless the work broke off or took less than `short_s`."""
    stream = stream or standard_error()
    count = Count(what, total, unit, clock)
    if quiet:
        yield Silent(count)
        return
    bar = OnTerminal(count, stream) if is_redrawn(stream) else InPipe(count, stream)
    try:
        yield bar
    except BaseException:
        bar.close()
        raise
    bar.close()
    if count.passed_s >= short_s:
        _write(stream, count.sum)


class Count:
    """The figures, and what they are in words."""

    def __init__(self, what: str, total: int | None, unit: str, clock: Clock) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done: float = 0
        self.noted = ""
        self._clock = clock
        self._began_s = clock()

    @property
    def passed_s(self) -> float:
        return self._clock() - self._began_s

    @property
    def line(self) -> str:
        return self._noted(f"{self._so_far}{self.pace}")

    @property
    def sum(self) -> str:
        return self._noted(f"{self._so_far} in {minutes(self.passed_s)}{self._rate}")

    @property
    def pace(self) -> str:
        return self._rate + self.left

    @property
    def _so_far(self) -> str:
        of = f" of {self.total:,}" if self.total is not None else ""
        return f"{self.what}: {self.done:,.0f}{of}{f' {self.unit}' if self.unit else ''}"

    @property
    def _rate(self) -> str:
        """What comes less than once in ten seconds has no rate that says anything."""
        rate = self.done / max(self.passed_s, 1e-9)
        return f", {rate:,.1f}/s" if rate >= 0.1 else ""

    @property
    def left(self) -> str:
        if self.total is None or not 0 < self.done < self.total:
            return ""
        return f", {minutes(self.passed_s / self.done * (self.total - self.done))} left"

    def _noted(self, line: str) -> str:
        return f"{line}; {self.noted}" if self.noted else line


class Silent:
    """Counts, and shows nothing."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def advance(self, count: float = 1) -> None:
        self._count.done += count
        self._shown()

    def note(self, words: str) -> None:
        self._count.noted = words
        self._shown()

    def expect(self, total: int | None) -> None:
        self._count.total = total
        self._shown()

    def say(self, *lines: str, to: Callable[[str], object] = print) -> None:
        for line in lines:
            to(line)

    def close(self) -> None:
        """Nothing of it stays on the screen."""

    def _shown(self) -> None:
        """Something has changed."""


class InPipe(Silent):
    def __init__(self, count: Count, stream: TextIO) -> None:
        super().__init__(count)
        self._stream = stream
        self._told_s = 0.0

    def _shown(self) -> None:
        if self._count.passed_s - self._told_s >= PIPE_S:
            self._told_s = self._count.passed_s
            _write(self._stream, self._count.line)


class OnTerminal(Silent):
    """Rich draws, ten times a second, in a thread of its own."""

    def __init__(self, count: Count, stream: TextIO) -> None:
        super().__init__(count)
        self._bars = _bars(stream)
        self._task = self._bars.add_task(printable(count.what), total=count.total, figures=count.line)
        self._shown()
        self._bars.start()

    def say(self, *lines: str, to: Callable[[str], object] = print) -> None:
        """The bar is gone while others write to the same screen."""
        self._bars.stop()
        try:
            super().say(*lines, to=to)
        finally:
            self._bars.start()

    def close(self) -> None:
        self._bars.stop()

    def _shown(self) -> None:
        count = self._count
        figures = printable(count.line.removeprefix(f"{count.what}: "))
        self._bars.update(self._task, completed=count.done, total=count.total, figures=figures)


def _bars(stream: TextIO) -> RichProgress:
    from rich.console import Console  # noqa: PLC0415 - a pipe does not wait for it
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[figures]}", markup=False),
        console=Console(file=stream),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def minutes(seconds: float) -> str:
    whole, rest = divmod(round(seconds), 60)
    hours, whole = divmod(whole, 60)
    return f"{hours}:{whole:02}:{rest:02}" if hours else f"{whole}:{rest:02}"


def _write(stream: TextIO, line: str) -> None:
    with suppress(OSError, ValueError):  # the work goes on when nobody listens any more
        stream.write(spelt_out(stream, f"{printable(line)}\n"))
        stream.flush()


class Bars(Protocol):
    """How work shows how far it is: `progress`, or `silent`."""

    def __call__(
        self, what: str, total: int | None = None, unit: str = ""
    ) -> AbstractContextManager[Progress]: ...


silent: Bars = partial(progress, quiet=True)
