"""Somebody changes the flags all the time, through the API, and keeps what was acknowledged.

It is another detector's share that changes, so that the callers' sides stay what they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.backends import Backend

DETECTOR = "rtdetr"
PINS = {
    "nobody's camera": "legacy"
}  # set once, before all else: what must still stand when much else was changed
PAUSE_S = 0.03
PATIENCE_S = 30.0
LIMITS = 1000  # values that it goes through, all different


@dataclass(frozen=True)
class Changed:
    value: float
    status: int
    version: int  # 0: it was not acknowledged
    took_s: float

    @property
    def acknowledged(self) -> bool:
        return self.status == httpx.codes.OK


class Changing:
    def __init__(self, backend: Backend) -> None:
        self.made: list[Changed] = []
        self.under_way = False
        self._client = httpx.Client(
            base_url=backend.url,
            headers=backend.admin | {"If-Match": "*"},
            timeout=PATIENCE_S,
            trust_env=False,
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="changes")

    @property
    def acknowledged(self) -> list[Changed]:
        return [one for one in list(self.made) if one.acknowledged]

    @property
    def possible(self) -> set[float]:
        """What may stand there: what was acknowledged last, or a change after it of which nobody heard."""
        made = list(self.made)
        last = max((number for number, one in enumerate(made) if one.acknowledged), default=0)
        return {one.value for one in made[last:]}

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """The last one is answered when this returns."""
        self._ending.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        number = 0
        with self._client:
            while not self._ending.wait(PAUSE_S):
                number += 1
                self.made.append(self._change(number % LIMITS / LIMITS))

    def _change(self, value: float) -> Changed:
        patch = {"overrides": {DETECTOR: value}, "reason": f"change to {value}"}
        began, self.under_way = time.monotonic(), True
        try:
            answer = self._client.put("/api/rollout", json=patch)
        finally:
            self.under_way = False
        version = int(answer.json()["version"]) if answer.status_code == httpx.codes.OK else 0
        return Changed(value, answer.status_code, version, time.monotonic() - began)


@contextmanager
def changing(backend: Backend) -> Iterator[Changing]:
    """From a state in which PINS are acknowledged."""
    assert _put(backend, {"pins": PINS}), "the flags cannot be changed"
    made = Changing(backend)
    made.start()
    try:
        yield made
    finally:
        made.end()


def give_back(backend: Backend) -> bool:
    """Everything to Triton, as before a rollback; whether that could be written."""
    return _put(
        backend, {"enabled": True, "fraction": 1.0, "overrides": {}, "pins": {}, "pins_suspended": False}
    )


def _put(backend: Backend, patch: Mapping[str, Any]) -> bool:
    headers = backend.admin | {"If-Match": "*"}
    url = f"{backend.url}/api/rollout"
    answer = httpx.put(url, json=patch, headers=headers, timeout=PATIENCE_S, trust_env=False)
    return answer.status_code == httpx.codes.OK
