"""Somebody who asks ten times a second, whatever else the backend does: what a camera sees of a batch beside it."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import httpx

from benchmarks.batch_report import Live
from benchmarks.loadgen import percentile

EVERY_S = 0.1
SETTLED = 20  # of its first calls: the batch beside it begins by then


class LiveCaller:
    def __init__(self, url: str, picture: bytes) -> None:
        self._url, self._picture = url, picture
        self._took_ms: list[float] = []
        self._errors = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> LiveCaller:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def seen(self) -> Live:
        took = self._took_ms[SETTLED:] if len(self._took_ms) > 2 * SETTLED else self._took_ms
        p50_ms, p95_ms = (percentile(sorted(took), share) or 0.0 for share in (0.5, 0.95))
        return Live(len(took), self._errors, p50_ms, p95_ms)

    def _ask(self) -> None:
        """In its own time: a slow answer lets the next question begin late, and no other."""
        due_s = time.perf_counter()
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as http:
            while not self._ended.wait(max(0.0, due_s - time.perf_counter())):
                began_s = time.perf_counter()
                answer = http.post(
                    "/api/detect", params={"camera": "gate"}, content=self._picture,
                    headers={"content-type": "image/jpeg"},
                )  # fmt: skip
                self._took_ms.append((time.perf_counter() - began_s) * 1000)
                self._errors += answer.is_error
                due_s = max(due_s + EVERY_S, time.perf_counter())
