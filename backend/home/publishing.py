"""Look, say, wait, and look again: until somebody ends it."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from backend.home.entities import ONLINE, Message, Names, announced
from backend.home.errors import BrokerAway
from backend.home.look import Look
from backend.home.mqtt import BACKOFF_S, LONGEST_BACKOFF_S, Line, Say
from backend.home.story import Story

AGAIN_S = 2.0  # after a look that says otherwise than those before it
LEAST_S = 1.0  # between two looks, however often somebody comes who knows nothing


Send = Callable[[Sequence[Message]], bool]  # whether they went out


def nowhere(_: Sequence[Message]) -> bool:
    """For a look that is there to be compared with."""
    return False


class Printed:
    """What would be published, a line of JSON for each message."""

    def __init__(self, names: Names, say: Say) -> None:
        self._names = names
        self._say = say

    def send(self, messages: Sequence[Message]) -> bool:
        for message in (Message(self._names.availability, ONLINE), *messages):
            self._say(json.dumps(message.to_table()))
        return True


class Publisher:
    """`hear` and `stop` may be called from anywhere, at any time; `stop` by a signal too."""

    def __init__(self, look: Callable[[], Look], story: Story, names: Names, say: Say) -> None:
        self._look = look
        self._story = story
        self._names = names
        self._say = say
        self._introduced: tuple[str, ...] = ()
        self._is_wanted_anew = False
        self._calls = queue.SimpleQueue[None]()  # no lock that a signal could find taken, as an Event has
        self._is_over = False

    def hear(self) -> None:
        """Somebody came who knows nothing."""
        self._is_wanted_anew = True
        self._calls.put(None)

    def stop(self) -> None:
        self._is_over = True
        self._calls.put(None)

    def open(self, line: Line) -> bool:
        """As often as it takes, or until it is over; BrokerRefused at once, for that does not heal by waiting."""
        wait_s, told = float(BACKOFF_S), ""
        while not self._is_over:
            try:
                line.open()
            except BrokerAway as error:
                if str(error) != told:
                    self._say(f"{error}; it is tried again")
                told = str(error)
            else:
                return True
            self._wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_BACKOFF_S)
        return False

    def run(self, send: Send, every_s: float) -> None:
        while not self._is_over:
            is_doubted = self.once(send)
            self._wait(min(AGAIN_S, every_s) if is_doubted else every_s)

    def once(self, send: Send, look: Look | None = None) -> bool:
        """Whether the next look should come soon."""
        anew, self._is_wanted_anew = self._is_wanted_anew, False
        told = self._story.after(look or self._look())
        for change in told.changes:
            self._say(change)
        known = () if anew else self._introduced
        if send([*self._introduction(known), *told.messages]):
            self._introduced = self._story.detectors
        elif anew:
            self._introduced = ()
        return told.is_doubted

    def _introduction(self, known: Sequence[str]) -> list[Message]:
        """Of those that are new; those that no backend has are taken away again."""
        now = self._story.detectors
        gone = [
            message
            for name in self._introduced
            if name not in now
            for message in self._names.forgetting(name)
        ]
        return [*gone, *announced(self._names, [name for name in now if name not in known])]

    def _wait(self, wait_s: float) -> None:
        """Shorter where somebody came, but never as short as many who come could make it."""
        now = time.monotonic()
        ends_at, earliest = now + wait_s, now + min(wait_s, LEAST_S)
        while not self._is_over:
            left_s = (earliest if self._is_wanted_anew else ends_at) - time.monotonic()
            if left_s <= 0:
                return
            with suppress(queue.Empty):
                self._calls.get(timeout=left_s)
