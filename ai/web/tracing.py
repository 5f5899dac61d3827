"""What of a caller's headers follows a request through a system: https://www.w3.org/TR/trace-context/ first of all.

A trace context that is none is left out, as is what no wire can carry; neither is ever an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Headers = tuple[tuple[str, str], ...]

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"

# In the order in which they get room. b3 and what stands behind it are older words for the same.
_FOLLOWING = (
    "x-request-id", TRACEPARENT, TRACESTATE, "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
    "x-b3-sampled", "x-b3-flags", "x-cloud-trace-context", "x-amzn-trace-id",
)  # fmt: skip
_KNOWN = frozenset(_FOLLOWING)
_OLDER = _KNOWN - {"x-request-id", TRACEPARENT, TRACESTATE, "baggage"}

# Of all together. A gRPC server refuses calls with more than 8 KiB of metadata: a fault of the caller's, which would
# count against the side.
MAX_CHARS = 4096

# version-trace-parent-flags; a later version may say more behind them, and is understood as far as this.
_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_FLAGS = 0b11  # sampled, random
_MEMBER = re.compile(
    r"[ \t]*(?:[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~][ \t]*)?"
)  # one of a list: key=value, or nothing
MAX_MEMBERS = 32


def followed(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Those that follow the request, their names in small letters; lines of one name are one list."""
    kept: dict[str, str] = {}
    if not headers:
        return kept
    for any_case, value in headers.items():
        name = any_case.lower()
        if name in _KNOWN and is_sendable(value):
            kept[name] = f"{kept[name]},{value}" if name in kept else value
    if not is_traceparent(kept.get(TRACEPARENT, "")):
        kept.pop(TRACEPARENT, None)
        kept.pop(TRACESTATE, None)  # it says nothing alone
        return kept
    kept[TRACEPARENT] = _as_we_speak(kept[TRACEPARENT])
    if TRACESTATE in kept and not _is_tracestate(kept[TRACESTATE]):
        del kept[TRACESTATE]
    return kept


def without_older(headers: Mapping[str, str]) -> dict[str, str]:
    """Without the older words for a trace: beside a traceparent of ours they would name another one."""
    return {name: value for name, value in headers.items() if name not in _OLDER}


def passed_on(headers: Mapping[str, str] | None, request_id: str) -> Headers:
    """What a side is told of the caller's headers, and our id for the request."""
    named = followed(headers)
    if request_id:
        named["x-request-id"] = request_id
    room = MAX_CHARS
    kept: list[tuple[str, str]] = []
    for name in _FOLLOWING if named else ():
        value = named.get(name)
        if value is not None and is_sendable(value) and len(value) <= room:
            room -= len(value)
            kept.append((name, value))
        elif name == TRACEPARENT:
            named.pop(TRACESTATE, None)  # it says nothing alone
    return tuple(kept)


def sampled_only(headers: Headers) -> Headers:
    """For whoever records every context that it is shown: one that is not to be recorded is not shown to it."""
    parents = [value for name, value in headers if name == TRACEPARENT]
    if not parents or int(parents[0][53:55], 16) & 1:
        return headers
    return tuple((name, value) for name, value in headers if name not in {TRACEPARENT, TRACESTATE})


def trace_id(headers: Mapping[str, str]) -> str:
    """Of the trace that these headers continue; empty where they continue none."""
    return followed(headers).get(TRACEPARENT, "")[3:35]


def is_traceparent(text: str) -> bool:
    found = _PARENT.fullmatch(text)
    return found is not None and not (found[1] == "00" and found[5])


def _as_we_speak(parent: str) -> str:
    """A later version's as ours, as far as it is understood: of its flags, those that ours has."""
    return parent if parent.startswith("00-") else f"00{parent[2:53]}{int(parent[53:55], 16) & _FLAGS:02x}"


def _is_tracestate(text: str) -> bool:
    members = text.split(",")
    return len(members) <= MAX_MEMBERS and all(_MEMBER.fullmatch(member) for member in members)


def is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()
