"""Spans by OpenTelemetry, sent over OTLP/HTTP by a thread of its own. Nothing else imports the library.

What is made here can be lost and cannot hurt: ended spans lie in a bounded queue, and what finds no room, or no
collector, is dropped. The sampler, the queue's size, address, headers and time-outs are OpenTelemetry's own variables.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace import sampling as otel_sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.util.types import Attributes as OtelAttributes

from ai.web.spans import Attributes, Kind, Span
from ai.web.tracing import TRACEPARENT, TRACESTATE, followed

logger = logging.getLogger(__name__)

CLOSE_S: Final = 2.0  # for the last spans; the rest of a service's end is its callers'
_KINDS: Final[Mapping[Kind, SpanKind]] = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
# They say a line for each batch or span that is lost, and here it is said once; or one for each tracestate that they do
# not like, in its caller's words.
_TALKATIVE: Final = (
    "opentelemetry.trace.span",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)


class ExportedSpans:
    """A Spans. Make it in the process that does the work. `endpoint` stands in for what the variables say."""

    def __init__(self, service: str, endpoint: str | None = None) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
        self._provider.sampler = _SampledAsLinked(self._provider.sampler)
        self._provider.add_span_processor(BatchSpanProcessor(_Told(OTLPSpanExporter(endpoint))))
        self._tracer = self._provider.get_tracer("crossfade")

    def begin(self, name: str, kind: Kind, parent: Mapping[str, str], *, linked: bool = False) -> Span:
        came_from = _context_of(parent)
        around = Context() if linked or came_from is None else _around(came_from)
        links = [Link(came_from)] if linked and came_from is not None else None
        return _ExportedSpan(self._tracer, self._tracer.start_span(name, around, _KINDS[kind], links=links))

    def close(self) -> None:
        """A collector that hangs would hold the library's own shutdown for half a minute."""
        ending = threading.Thread(target=self._provider.shutdown, name="spans-close", daemon=True)
        ending.start()
        ending.join(CLOSE_S)


class _ExportedSpan:
    def __init__(self, tracer: Tracer, span: OtelSpan) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def headers(self) -> Mapping[str, str]:
        here = self._span.get_span_context()
        named = {TRACEPARENT: f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"}
        if here.trace_state:
            named[TRACESTATE] = here.trace_state.to_header()
        return named

    def stage(self, name: str, began_ns: int, ended_ns: int) -> None:
        if self._span.is_recording():
            around = set_span_in_context(self._span, Context())
            self._tracer.start_span(name, around, start_time=began_ns).end(ended_ns)

    def end(self, attributes: Attributes, error: str | None = None) -> None:
        if self._span.is_recording():
            self._span.set_attributes(attributes)
            if error is not None:
                self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


class _Told(SpanExporter):
    """Says once that spans are lost, and once that they arrive again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._arrives = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if self._arrives != (arrives := result is SpanExportResult.SUCCESS):
            self._arrives = arrives
            if arrives:
                logger.info("the collector takes spans again")
            else:
                logger.warning("the collector takes no spans; they are dropped until it does")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _SampledAsLinked(otel_sampling.Sampler):
    """Work that came of a request is looked at where the request is: by a draw of its own, hardly any pair of both
    would be complete."""

    def __init__(self, usual: otel_sampling.Sampler) -> None:
        self._usual = usual

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: OtelAttributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> otel_sampling.SamplingResult:
        sampler = self._usual
        if links:
            sampled = links[0].context.trace_flags.sampled
            sampler = otel_sampling.ALWAYS_ON if sampled else otel_sampling.ALWAYS_OFF
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"SampledAsLinked({self._usual.get_description()})"


def _resource(service: str) -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before ours."""
    return Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())


def _around(parent: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _context_of(headers: Mapping[str, str]) -> SpanContext | None:
    kept = followed(headers)
    if TRACEPARENT not in kept:
        return None
    _, trace, span, flags = kept[TRACEPARENT].split("-")[:4]
    state = TraceState.from_header([kept[TRACESTATE]]) if TRACESTATE in kept else None
    return SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)), state)
