"""Hears that somebody wrote to a Redis, and wakes whoever obeys it. The flags do not depend on it: they are looked at
now and then as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import redis

from backend.rollout.stores.redis_client import Client

AGAIN_S = 0.25  # after the connection was lost
LOOK_S = 0.25  # how soon it notices that it is to end
QUIET_S = 5.0  # so long without a word, and it asks whether anybody is there


class Listener(threading.Thread):
    def __init__(self, client: Client, channel: str, wake: Callable[[], None]) -> None:
        super().__init__(name="rollout-listener", daemon=True)
        self._client = client
        self._channel = channel
        self._wake = wake
        self._ended = threading.Event()

    def end(self) -> None:
        """It wakes nobody any more; its thread ends on its own in a moment."""
        self._ended.set()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError, ValueError):
                self._ended.wait(AGAIN_S)
        self._client.close()

    def _listen(self) -> None:
        """Until it is to end, or an error. Whatever was written before it heard anything is announced by hearing."""
        with self._client.pubsub() as heard:
            heard.subscribe(self._channel)
            last_at, asked = time.monotonic(), False
            while not self._ended.is_set():
                message = heard.get_message(timeout=LOOK_S)
                if message is not None:
                    last_at, asked = time.monotonic(), False
                    self._tell(message["type"])
                elif time.monotonic() - last_at > QUIET_S:
                    if asked:
                        return
                    heard.ping()
                    last_at, asked = time.monotonic(), True

    def _tell(self, kind: str) -> None:
        if kind in ("subscribe", "message") and not self._ended.is_set():
            self._wake()
