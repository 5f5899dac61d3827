"""What of a caller's headers follows a request through a system."""

from __future__ import annotations

from collections.abc import Mapping

Headers = tuple[tuple[str, str], ...]

_PASSED_ON = frozenset(
    {"traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
     "x-b3-sampled", "x-b3-flags", "x-cloud-trace-context", "x-amzn-trace-id", "x-request-id"}
)  # fmt: skip


def passed_on(headers: Mapping[str, str] | None, request_id: str) -> Headers:
    """Of a caller's headers those that follow a request through a system; one that no wire can carry is left
    out, as W3C's Trace Context asks for."""
    if not headers and not request_id:
        return ()
    named = {name.lower(): value for name, value in (headers or {}).items()}
    if request_id:
        named["x-request-id"] = request_id
    return tuple((name, value) for name, value in named.items() if name in _PASSED_ON and is_sendable(value))


def is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()
