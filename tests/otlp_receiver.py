"""A real receiver of OTLP/HTTP on a free loopback port, which keeps the spans that it is sent; or takes them and hangs.

OpenTelemetry's Python speaks protobuf, Triton's C++ JSON: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_S = 20.0
HANG_S = 30.0


@dataclass(frozen=True)
class Seen:
    """A span as it arrived."""

    service: str
    instance: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]  # (trace, span)


@dataclass
class Receiver:
    port: int = 0
    spans: list[Seen] = field(default_factory=list)
    connections: int = 0
    hangs: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, trace_id: str) -> list[Seen]:
        return sorted(
            (span for span in list(self.spans) if span.trace_id == trace_id), key=lambda span: span.began_ns
        )

    def until(self, holds: Callable[[list[Seen]], Any], what: str) -> Any:
        """What `holds` gives of all spans, as soon as that is something."""
        ends_at = time.monotonic() + PATIENCE_S
        while not (found := holds(list(self.spans))):
            said = [
                (span.service, span.name, span.trace_id[:6], span.parent_id[:6]) for span in self.spans[-20:]
            ]
            assert time.monotonic() < ends_at, f"{what}: {said}"
            time.sleep(0.02)
        return found

    def take(self, body: bytes, media_type: str) -> None:
        self.connections += 1
        if self.hangs:
            self.ended.wait(HANG_S)
        self.spans.extend(_from_json(body) if "json" in media_type else _from_protobuf(body))


@contextmanager
def otlp_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.take(body, self.headers.get("content-type", ""))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        server.server_close()


def _from_protobuf(body: bytes) -> Iterator[Seen]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {one.key: one.value.string_value for one in resource.resource.attributes}
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Seen(
                about["service.name"], about.get("service.instance.id", ""), span.name, span.kind,
                span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                span.start_time_unix_nano, span.end_time_unix_nano, span.status.code == 2,
                {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes},
                tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
            )  # fmt: skip


def _from_json(body: bytes) -> Iterator[Seen]:
    for resource in json.loads(body)["resourceSpans"]:
        about = {
            one["key"]: one["value"].get("stringValue", "") for one in resource["resource"]["attributes"]
        }
        for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
            yield Seen(
                about["service.name"], "", span["name"], 0, span["traceId"], span["spanId"],
                span.get("parentSpanId", ""), int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]), False,
                {one["key"]: next(iter(one["value"].values())) for one in span.get("attributes", [])}, (),
            )  # fmt: skip
