"""What becomes of the alerts of a fault: who is paged, what is a ticket, and what Alertmanager keeps to itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.alert_watch import Watch
from tests.alertmanager_server import Message, Receiver

PAGE_S, TICKET_S = 2.0, 6.0  # in which a further one would come: they wait for 0.5 s and 5 s here


@dataclass
class Told:
    """What is known when a story is over."""

    watch: Watch
    pages: dict[str, list[Message]] = field(default_factory=dict)  # by fault
    tickets: dict[str, set[str]] = field(default_factory=dict)  # by fault: the alerts that were sent as such
    silenced: dict[str, set[str]] = field(default_factory=dict)  # by fault: what Alertmanager kept to itself
    heartbeats: list[Message] = field(default_factory=list)
    links: set[str] = field(default_factory=set)  # of messages
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Paged:
    """Also keeps what was sent, and what was not."""

    told: Told
    watch: Watch
    receiver: Receiver
    inhibited: Callable[[], set[str]]

    def befalls(
        self, fault: str, alerts: Sequence[str], page: str, broken: Any, lasts_s: float = PAGE_S
    ) -> None:
        since = time.time()
        self.watch.befalls(fault, alerts, self._until_paged(fault, page, since, broken, lasts_s))

    @contextmanager
    def _until_paged(
        self, fault: str, page: str, since: float, broken: Any, lasts_s: float
    ) -> Iterator[None]:
        with broken:
            yield
            until(lambda: page in [one.alert for one in self._pages(since)], f"{fault}: no page came")
            self.told.silenced[fault] = self.inhibited()
            time.sleep(lasts_s)
            self.told.pages[fault] = self._pages(since)
            self.told.tickets[fault] = {
                one.alert for one in self.receiver.of("ticket", since) if one.is_firing
            }

    def _pages(self, since: float) -> list[Message]:
        return [one for one in self.receiver.of("page", since) if one.is_firing]


def until(holds: Callable[[], bool], why: str, timeout_s: float = 60.0) -> None:
    ends_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < ends_at, why
        time.sleep(0.2)
