"""Look, say, wait, and look again: until somebody ends it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence

from backend.home.entities import ONLINE, Message, Names, announced
from backend.home.errors import BrokerAway
from backend.home.look import Look
from backend.home.mqtt import BACKOFF_S, LONGEST_BACKOFF_S, Line, Say
from backend.home.story import Story

AGAIN_S = 2.0  # after a look that says otherwise than those before it


Send = Callable[[Sequence[Message]], object]


def nowhere(_: Sequence[Message]) -> None:
    """For a look that is there to be compared with."""


class Printed:
    """What would be published, a line of JSON for each message."""

    def __init__(self, names: Names, say: Say) -> None:
        self._names = names
        self._say = say

    def send(self, messages: Sequence[Message]) -> None:
        for message in (Message(self._names.availability, ONLINE), *messages):
            self._say(json.dumps(message.to_table()))


class Publisher:
    """`hear` and `stop` may be called from anywhere, at any time."""

    def __init__(self, look: Callable[[], Look], story: Story, names: Names, say: Say) -> None:
        self._look = look
        self._story = story
        self._names = names
        self._say = say
        self._introduced: tuple[str, ...] = ()
        self._is_wanted_anew = False
        self._woken = threading.Event()
        self._is_over = False

    def hear(self) -> None:
        """Somebody came who knows nothing."""
        self._is_wanted_anew = True
        self._woken.set()

    def stop(self) -> None:
        self._is_over = True
        self._woken.set()

    def open(self, line: Line) -> None:
        """As often as it takes; BrokerRefused at once, for that does not heal by waiting."""
        wait_s, told = float(BACKOFF_S), ""
        while not self._is_over:
            try:
                line.open()
            except BrokerAway as error:
                if str(error) != told:
                    self._say(f"{error}; it is tried again")
                told = str(error)
            else:
                return
            self._woken.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_BACKOFF_S)

    def run(self, send: Send, every_s: float, first: Look | None = None) -> None:
        while not self._is_over:
            is_doubted, first = self.once(send, first), None
            self._woken.wait(min(AGAIN_S, every_s) if is_doubted else every_s)
            self._woken.clear()

    def once(self, send: Send, look: Look | None = None) -> bool:
        """Whether the next look should come soon."""
        anew, self._is_wanted_anew = self._is_wanted_anew, False
        told = self._story.after(look or self._look())
        for change in told.changes:
            self._say(change)
        send([*self._introduction(anew), *told.messages])
        return told.is_doubted

    def _introduction(self, anew: bool) -> list[Message]:
        known, self._introduced = self._introduced, self._story.detectors
        if anew:
            known = ()
        return announced(self._names, [name for name in self._story.detectors if name not in known])
