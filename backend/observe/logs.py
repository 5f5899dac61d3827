"""One line for each request, for what changes, and for what other parts of the process say: all of one form."""

from __future__ import annotations

import logging
import os
import random as chance
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from backend.observe.events import (
    BreakerMoved,
    Event,
    FlagsSeen,
    Outcome,
    RequestEnded,
    RetryBudgetExhausted,
    Shed,
    TurnedAway,
)
from backend.observe.lines import TRACE, Format, line_of, stamp
from backend.observe.seldom import Clock, Key, Seldom

Write = Callable[[str], None]

_LEVELS: Mapping[Outcome, str] = {
    "ok": "info", "refused": "info", "gone": "info",
    "unavailable": "warning", "busy": "warning", "late": "warning", "failed": "error",
}  # fmt: skip
_TROUBLE: Mapping[str, tuple[str, str]] = {
    "shed": ("backend", "reason"),
    "retry_budget_exhausted": ("backend", "detector"),
    "turned_away": ("detector", "outcome"),
}


class RequestLog:
    """An observer. `share` of the requests that were answered without a fallback get a line, all others always do."""

    def __init__(
        self,
        write: Write,
        share: float,
        format: Format,  # noqa: A002 - as the setting is called
        random: Callable[[], float] = chance.random,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
    ) -> None:
        self._write = write
        self._line = line_of(format)
        self._share = share
        self._random = random
        self._wall_clock = wall_clock
        self._trouble = Seldom(self._say_trouble, clock)
        self._listeners: Mapping[type[Event], Callable[[Any], None]] = {
            RequestEnded: self._request_ended,
            BreakerMoved: self._breaker_moved,
            FlagsSeen: self._flags_seen,
            Shed: lambda event: self._trouble.happened(("shed", event.backend, event.reason)),
            RetryBudgetExhausted: lambda event: self._trouble.happened(
                ("retry_budget_exhausted", event.backend, event.detector)
            ),
            TurnedAway: lambda event: self._trouble.happened(("turned_away", event.detector, event.outcome)),
        }

    def __call__(self, event: Event) -> None:
        listener = self._listeners.get(type(event))
        if listener is not None:
            listener(event)
        self._trouble.look()

    def close(self) -> None:
        """The last counts, before the writer closes."""
        self._trouble.tell_all()

    def _request_ended(self, event: RequestEnded) -> None:
        plain = event.outcome == "ok" and event.fallback_reason is None
        if plain and self._random() >= self._share:
            return
        level = "warning" if event.fallback_reason and event.outcome == "ok" else _LEVELS[event.outcome]
        self._say(
            level, "request",
            request_id=event.request_id, client_request_id=event.caller_request_id or None, camera=event.camera,
            detector=event.detector, outcome=event.outcome, served_by=event.backend,
            model_version=event.model_version or None, reason=event.reason, fallback_reason=event.fallback_reason,
            attempts=event.attempts, bucket=event.bucket, fraction=event.fraction, flag_version=event.flag_version,
            found=event.found, total_ms=_ms(event.total_s), backend_ms=_ms(event.backend_s), error=event.error,
            **({"trace_id": event.trace_id} if event.trace_id else {}),
        )  # fmt: skip

    def _breaker_moved(self, event: BreakerMoved) -> None:
        level = "warning" if event.to == "open" else "info"
        self._say(level, "breaker", detector=event.detector, backend=event.backend, to=event.to)

    def _flags_seen(self, event: FlagsSeen) -> None:
        self._say(
            "warning" if event.stale else "info", "flags",
            pid=os.getpid(), enabled=event.enabled, version=event.version, stale=event.stale,
            asked=dict(event.asked), effective=dict(event.effective),
        )  # fmt: skip

    def _say_trouble(self, key: Key, count: int) -> None:
        event, *about = key
        self._say("warning", event, **dict(zip(_TROUBLE[event], about, strict=True)), count=count)

    def _say(self, level: str, event: str, **fields: object) -> None:
        self._write(self._line({"ts": stamp(self._wall_clock()), "level": level, "event": event, **fields}))


def configure(form: Format, write: Write) -> None:
    """Every other logger of this process says it in the same form, to the same place."""
    root = logging.getLogger()
    root.handlers = [_Handler(form, write)]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it says a sentence about each of its requests
    access = logging.getLogger("uvicorn.access")  # the line for each request is ours
    access.handlers, access.propagate = [], False


class _Handler(logging.Handler):
    def __init__(self, form: Format, write: Write) -> None:
        super().__init__()
        self._line = line_of(form)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self._line(self._fields(record)))
        except Exception:  # noqa: BLE001 - the rule of every handler: a bad message is no fault of what goes on
            self.handleError(record)

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        return {
            "ts": stamp(record.created), "level": record.levelname.lower(), "event": "log",
            "logger": record.name, "message": record.getMessage(), TRACE: _trace_of(record),
        }  # fmt: skip


def _trace_of(record: logging.LogRecord) -> str | None:
    return "".join(traceback.format_exception(record.exc_info[1])) if record.exc_info else None


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
