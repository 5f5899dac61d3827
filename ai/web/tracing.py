"""What of a caller's headers follows a request through a system."""

from __future__ import annotations

from collections.abc import Mapping

Headers = tuple[tuple[str, str], ...]

_PASSED_ON = frozenset(
    {"traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
     "x-b3-sampled", "x-b3-flags", "x-cloud-trace-context", "x-amzn-trace-id", "x-request-id"}
)  # fmt: skip

# Of all together. A gRPC server refuses calls with more than 8 KiB of metadata: a fault of the caller's, which would
# count against the side.
MAX_CHARS = 4096


def passed_on(headers: Mapping[str, str] | None, request_id: str) -> Headers:
    """Of a caller's headers those that follow a request through a system; one that no wire can carry is left
    out, as W3C's Trace Context asks for."""
    own = {"x-request-id": request_id} if request_id else {}
    named = own | {name.lower(): value for name, value in (headers or {}).items()} | own  # ours comes first
    room = MAX_CHARS
    kept: list[tuple[str, str]] = []
    for name, value in named.items():
        if name in _PASSED_ON and is_sendable(value) and len(value) <= room:
            room -= len(value)
            kept.append((name, value))
    return tuple(kept)


def is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()
