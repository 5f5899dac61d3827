"""Whether spans are asked for, by OpenTelemetry's own variables; then the extra `tracing` must be installed."""

from __future__ import annotations

import logging

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ai.web.spans import Spans

logger = logging.getLogger(__name__)

SPOKEN = "http/protobuf"


class TracingSettings(BaseSettings):
    """OpenTelemetry's words, of which its library reads the rest:
    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"""

    model_config = SettingsConfigDict(env_prefix="OTEL_", extra="ignore", frozen=True)

    sdk_disabled: str = Field("", description="`true`: no spans, whatever else is said")
    traces_exporter: str = Field("", description="`otlp` makes spans, `none` makes none")
    exporter_otlp_endpoint: str = Field(
        "", description="the collector, such as `http://collector:4318`; an address alone asks for spans too"
    )
    exporter_otlp_traces_endpoint: str = Field("", description="the same, for spans alone: the whole address")
    exporter_otlp_protocol: str = Field(
        "", description="empty or `http/protobuf`; with any other no spans are made, and the log says so"
    )
    exporter_otlp_traces_protocol: str = Field("", description="the same, for spans alone")

    @property
    def protocol(self) -> str:
        return self.exporter_otlp_traces_protocol or self.exporter_otlp_protocol or SPOKEN

    @property
    def asks_for_spans(self) -> bool:
        """OTLP is what is spoken, so an address without a word about the exporter means it."""
        if self.sdk_disabled.strip().lower() == "true":
            return False
        exporters = [word.strip().lower() for word in self.traces_exporter.split(",") if word.strip()]
        if exporters:
            return "otlp" in exporters
        return bool(self.exporter_otlp_endpoint or self.exporter_otlp_traces_endpoint)


def spans_asked_for(service: str) -> Spans | None:
    """To be made in the process that does the work, after it was forked. Whatever is wrong with tracing, the
    service starts."""
    settings = TracingSettings()
    if not settings.asks_for_spans:
        return None
    if settings.protocol != SPOKEN:
        logger.warning("no spans are made: OTLP is spoken as %s only, not as %s", SPOKEN, settings.protocol)
        return None
    try:
        from ai.web.span_export import ExportedSpans  # noqa: PLC0415 - the library is an extra

        return ExportedSpans(service)
    except ImportError as error:
        logger.warning("no spans are made: the extra `tracing` is not installed (%s)", error)
    except Exception:
        logger.exception("no spans are made: OpenTelemetry cannot be set up")
    return None
