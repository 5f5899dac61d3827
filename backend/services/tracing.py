"""Spans of requests, of the calls that they make, and of comparisons: put between the parts of a backend that is
traced. One that is not has nothing between them.

What happened they learn from the events that everybody else learns it from. A request and each of its calls live in a
task of their own, so the span under way is the context's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Protocol

from ai.core.errors import BackendError
from ai.web.spans import Attributes, Span, Spans
from ai.web.tracing import TRACEPARENT, followed, without_older
from backend.observe.events import Attempted, Event, Observer, Outcome, RequestEnded
from backend.services.attempt import CANCELLED, OK
from backend.services.errors import code_of
from backend.services.request import RequestInfo
from backend.shadow.pairs import Offer, Saw
from backend.sides import Side
from backend.transports.base import Ask, Found, Transport

_FAILED: frozenset[Outcome] = frozenset({"unavailable", "busy", "late", "failed"})

_request: ContextVar[Span | None] = ContextVar("request", default=None)
_attempt: ContextVar[Span | None] = ContextVar("attempt", default=None)

AskSide = Callable[[Side, Offer], Awaitable[Saw]]


class AskTwin(Protocol):
    def __call__(self, side: Side, offer: Offer, headers: Mapping[str, str] = ...) -> Awaitable[Saw]: ...


class Untraced:
    """No spans: everything stays as it is."""

    listeners: tuple[Observer, ...] = ()

    def begun(self, about: RequestInfo) -> RequestInfo:
        return about

    def sides(self, sides: Mapping[Side, Transport]) -> Mapping[Side, Transport]:
        return sides

    def twin(self, twin: AskTwin) -> AskSide:
        return twin


class Traced(Untraced):
    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self.listeners = (_ended,)

    def begun(self, about: RequestInfo) -> RequestInfo:
        """A span for this detection; its calls are parts of it."""
        span = self._spans.begin("detect", "server", about.headers)
        _request.set(span)
        return replace(about, headers={**without_older(followed(about.headers)), **span.headers})

    def sides(self, sides: Mapping[Side, Transport]) -> Mapping[Side, Transport]:
        return {side: _TracedSide(side, transport, self._spans) for side, transport in sides.items()}

    def twin(self, twin: AskTwin) -> AskSide:
        async def ask(side: Side, offer: Offer) -> Saw:
            """A trace of its own: its caller was answered long ago."""
            span = self._spans.begin(f"compare {side}", "client", offer.headers, linked=True)
            code = CANCELLED
            try:
                saw = await twin(side, offer, span.headers)
                code = OK
                return saw
            except BackendError as error:
                code = code_of(error)
                raise
            finally:
                _end_call(span, side, offer.detector, code)

        return ask


class _TracedSide:
    """A Transport. Probes, which continue no trace, are none of anybody's request and get no span."""

    def __init__(self, side: Side, transport: Transport, spans: Spans) -> None:
        self._side = side
        self._transport = transport
        self._spans = spans
        self.rest = transport.rest
        self.close = transport.close

    async def detect(self, ask: Ask) -> Found:
        if TRACEPARENT not in ask.headers:
            return await self._transport.detect(ask)
        span = self._spans.begin(f"ask {self._side}", "client", ask.headers)
        _attempt.set(span)  # it ends with its event, which knows why it ended
        return await self._transport.detect(replace(ask, headers={**ask.headers, **span.headers}))


def _ended(event: Event) -> None:
    """An observer."""
    if isinstance(event, RequestEnded) and (span := _request.get()) is not None:
        _request.set(None)
        span.end(_about(event), event.outcome if event.outcome in _FAILED else None)
    elif isinstance(event, Attempted) and (span := _attempt.get()) is not None:
        _attempt.set(None)
        _end_call(span, event.backend, event.detector, event.code)


def _end_call(span: Span, side: Side, detector: str, code: str) -> None:
    span.end(
        {"crossfade.side": side, "crossfade.detector": detector, "crossfade.code": code},
        None if code in {OK, CANCELLED} else code,
    )


def _about(event: RequestEnded) -> Attributes:
    """Not the camera: its name may be a person's or a place's, and a store of traces is seldom one's own."""
    said = {
        "crossfade.request_id": event.request_id,
        "crossfade.detector": event.detector,
        "crossfade.decided": event.decided,
        "crossfade.served_by": event.backend,
        "crossfade.model_version": event.model_version or None,
        "crossfade.outcome": event.outcome,
        "crossfade.reason": event.reason,
        "crossfade.fallback_reason": event.fallback_reason,
        "crossfade.attempts": event.attempts,
        "crossfade.flag_version": event.flag_version,
    }
    return {name: value for name, value in said.items() if value is not None}
