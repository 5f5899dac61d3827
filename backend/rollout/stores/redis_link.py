"""The way to a Redis: one boundary for all that can go wrong there, its clock, and who listens to it.

A Redis that hangs is noticed by timeouts, and then left alone for a moment: whoever waits for the flags must not stand
in a line of calls that each wait in vain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from backend.rollout.store import StoreAway
from backend.rollout.stores.redis_address import RedisAddress
from backend.rollout.stores.redis_client import SILENT_S, Client, Word, client_of
from backend.rollout.stores.redis_listener import Listener

LEFT_ALONE_S = 0.5  # nobody asks, after it was silent


class RedisLink:
    """Used from one thread at a time; `now` from any."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._client = client_of(address)
        self._left_alone_until = float("-inf")
        self._ahead_s: float | None = None  # of our monotonic clock
        self._listeners: list[Listener] = []

    @property
    def name(self) -> str:
        return self._address.name

    def now(self) -> float:
        """By the server's clock, once it was asked."""
        return time.time() if self._ahead_s is None else time.monotonic() + self._ahead_s

    def subscribe(self, wake: Callable[[], None]) -> None:
        listener = Listener(client_of(self._address), self._channel, wake)
        self._listeners.append(listener)
        listener.start()

    def close(self) -> None:
        while self._listeners:
            self._listeners.pop().end()
        self._client.close()

    # --- for what is built on it --------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._address.prefix}:{name}"

    @property
    def _channel(self) -> str:
        return self._key("woken")

    def _ask(self, *words: Word) -> Any:
        with self._redis() as client:
            return client.execute_command(*words)

    def _ask_together(self, *commands: Sequence[Word]) -> list[Any]:
        """As of one moment."""
        with self._redis() as client, client.pipeline(transaction=True) as pipe:
            for words in commands:
                pipe.execute_command(*words)
            return pipe.execute()

    def _run(self, script: str, keys: Sequence[str], *values: Word) -> Any:
        with self._redis() as client:
            return client.register_script(script)([self._key(name) for name in keys], values)

    def _look_at_clock(self) -> None:
        """A look that took long says little, and the last one stands."""
        asked_at = time.monotonic()
        seconds, microseconds = self._ask("TIME")
        answered_at = time.monotonic()
        if self._ahead_s is None or answered_at - asked_at < SILENT_S:
            self._ahead_s = seconds + microseconds / 1e6 - (asked_at + answered_at) / 2

    @contextmanager
    def _redis(self) -> Iterator[Client]:
        """Whatever goes wrong is StoreAway: with the way to it, with its answer, with what was found there."""
        if time.monotonic() < self._left_alone_until:
            raise self._away("it did not answer a moment ago")
        try:
            yield self._client
        except redis.TimeoutError as error:
            self._left_alone_until = time.monotonic() + LEFT_ALONE_S
            raise self._away(error) from error
        except (redis.RedisError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._away(error) from error

    def _away(self, why: object) -> StoreAway:
        return StoreAway(self._address.without_secrets(f"The store {self.name} cannot be used: {why}"))
