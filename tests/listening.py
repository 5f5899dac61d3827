"""A listener to what is new, for tests: server-sent events of a running API, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.api_parts import VIEWER

EVENTS = "/api/rollout/events"


@dataclass
class Told:
    event: str
    id: str  # empty where it has none
    document: dict[str, Any]


class Listening:
    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.lines = answer.iter_lines()

    def line(self, beginning: str) -> str:
        """The next line that begins so."""
        return next(line for line in self.lines if line.startswith(beginning))

    def next(self, event: str = "") -> Told:
        """The next of this kind; of any where none is named, but for the traffic, which comes by the clock."""
        for told in self._events():
            if told.event == event or (not event and told.event != "traffic"):
                return told
        raise AssertionError("the stream ended")

    def _events(self) -> Iterator[Told]:
        said: dict[str, str] = {}
        for line in self.lines:
            word, _, value = line.partition(": ")
            said[word] = value
            if not line:
                told, said = said, {}
                if "data" in told:
                    yield Told(told["event"], told.get("id", ""), json.loads(told["data"]))


@contextmanager
def listening(url: str, headers: dict[str, str] = VIEWER) -> Iterator[Listening]:
    with httpx.stream("GET", url + EVENTS, headers=headers, timeout=30, trust_env=False) as answer:
        if answer.status_code != httpx.codes.OK:
            answer.read()
        yield Listening(answer)
