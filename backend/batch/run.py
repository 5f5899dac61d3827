"""The pictures that wait, as many at once as the throttle says, and a line for each: an answer, or what is wrong."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from ai.terminal.progress import Progress
from backend.batch.asking import Answer, Asking, Later, Outcome, Refusal
from backend.batch.names import label, line_of, path_of
from backend.batch.patience import Heard, Patience, Verdict
from backend.batch.picture import Unread, read_picture, size_of
from backend.batch.places import Places
from backend.batch.room import Room
from backend.batch.sheet import Sheet
from backend.batch.throttle import Throttle
from backend.stack.backend_api import Away

MOST_BYTES = 64 * 1024 * 1024  # of the pictures that are under way


@dataclass(slots=True)
class Tally:
    answered: int = 0
    refused: int = 0  # for what they are
    failed: int = 0  # and may be tried again
    turned_away: int = 0  # questions, not pictures
    was_stopped: bool = False

    @property
    def errors(self) -> int:
        return self.refused + self.failed


@dataclass(frozen=True, slots=True)
class Source:
    folder: Path
    names: Iterator[bytes]
    most_bytes: int  # of a picture


@dataclass(frozen=True, slots=True)
class Sheets:
    answers: Sheet
    errors: Sheet


class Run:
    def __init__(
        self,
        source: Source,
        asking: Asking,
        throttle: Throttle,
        sheets: Sheets,
        bar: Progress,
        patience_s: float,
        tally: Tally,
    ) -> None:
        self.tally = tally
        self._source, self._asking, self._throttle, self._sheets = source, asking, throttle, sheets
        self._root = os.fsencode(source.folder)
        self._bar = bar
        self._patience_s = patience_s
        self._heard = Heard(monotonic())
        self._room = Room(MOST_BYTES)
        self._places = Places(throttle)
        self._waits = ""
        self._ended: Callable[[], object] | None = None

    def stop(self) -> None:
        """What is under way is given up; it has no line, and is asked for another time. A signal may call this."""
        self.tally.was_stopped = True
        if self._ended is not None:
            self._ended()

    async def run(self) -> None:
        """Away, NotAnswered or CannotBatch where it cannot go on."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._ended = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            if not self.tally.was_stopped:
                await self._all()
        except asyncio.CancelledError:
            if not self.tally.was_stopped:
                raise
        finally:
            self._ended = None
            await self._asking.close()

    async def _all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._source.names:
                    await self._places.enter()
                    group.create_task(self._one(name))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _one(self, name: bytes) -> None:
        try:
            await self._settle(name)
        finally:
            await self._places.leave()

    async def _settle(self, name: bytes) -> None:
        path = path_of(self._root, name)
        most = self._source.most_bytes
        async with self._room.of(await asyncio.to_thread(size_of, path, most)):
            try:
                picture = await asyncio.to_thread(read_picture, path, most)
            except Unread as error:
                self._failed(name, error.status, error.words, again=error.again)
                return
            outcome = await self._outcome(picture)
        self._told(name, outcome)

    async def _outcome(self, picture: bytes) -> Outcome:
        """An answer or a refusal; Later where patience with it has ended."""
        patience = Patience(self._heard, monotonic(), self._patience_s)
        while isinstance(outcome := await self._asked(picture), Later):
            if patience.is_in_doubt(outcome) and await self._asking.is_well():
                self._heard.at_s = monotonic()
            verdict = patience.verdict(outcome, monotonic())
            if verdict is Verdict.AWAY:
                raise Away(f"{outcome.words}; nothing was answered for {self._patience_s:g} s")
            if verdict is Verdict.FAILED:
                return outcome
            self._tell_wait(outcome.words)
            async with self._places.left():
                await asyncio.sleep(patience.pause_s(outcome, random.random))
        self._heard.at_s = monotonic()
        return outcome

    async def _asked(self, picture: bytes) -> Outcome:
        asked_s = monotonic()
        outcome = await self._asking.ask(picture)
        if not isinstance(outcome, Later):
            self._throttle.answered(asked_s, monotonic())
        elif outcome.is_full:
            self.tally.turned_away += 1
            self._throttle.turned_away(asked_s, monotonic())
        return outcome

    def _told(self, name: bytes, outcome: Outcome) -> None:
        match outcome:
            case Answer(document):
                self._sheets.answers.write(line_of(name, document))
                self.tally.answered += 1
                self._advanced()
            case Refusal(status, words):
                self._failed(name, status, words, again=False)
            case Later(words, status):
                self._failed(name, status, words, again=True)

    def _failed(self, name: bytes, status: int | None, words: str, *, again: bool) -> None:
        self._sheets.errors.write(error_line(label(name), status, words, again=again))
        self.tally.failed += again
        self.tally.refused += not again
        self._advanced()

    def _advanced(self) -> None:
        self._waits = ""
        self._bar.advance()
        self._note()

    def _tell_wait(self, words: str) -> None:
        self._waits = f"waits: {words}"
        self._note()

    def _note(self) -> None:
        errors = f", {self.tally.errors:,} errors" if self.tally.errors else ""
        self._bar.note(self._waits or f"{self._throttle.limit} at once{errors}")


def error_line(of: dict[str, str], status: int | None, words: str, *, again: bool) -> dict[str, Any]:
    return {**of, "status": status, "error": words, "may_be_tried_again": again}
