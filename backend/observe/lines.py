"""How a line of the log reads, as JSON or as text.

A caller's words are in it as escaped ASCII, so that none of them ends a line, forges a field or steers a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

Format = Literal["json", "text"]
Line = Callable[[Mapping[str, object]], str]

MAX_VALUE_CHARS = 1_000
MAX_TRACE_CHARS = 20_000
TRACE = "trace"  # the field of many lines: as text they stand under the line, indented
_HEAD = ("ts", "level", "event")
_BARE = re.compile(r"[A-Za-z0-9_.:/+-]+")


def line_of(form: Format) -> Line:
    return _json if form == "json" else _text


def stamp(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps({name: _cut(name, value) for name, value in fields.items()})


def _text(fields: Mapping[str, object]) -> str:
    """`2026-01-01T00:00:00.000Z INFO request outcome=ok camera="front door"`; what is None is left out."""
    head = f"{fields['ts']} {str(fields['level']).upper()} {fields['event']}"
    rest = (
        f"{name}={_word(_cut(name, value))}"
        for name, value in fields.items()
        if name not in (*_HEAD, TRACE) and value is not None
    )
    return " ".join((head, *rest)) + _under(fields.get(TRACE))


def _under(trace: object) -> str:
    if trace is None:
        return ""
    lines = str(_cut(TRACE, trace)).splitlines()
    return "".join("\n    " + json.dumps(line)[1:-1].replace('\\"', '"') for line in lines)


def _word(value: object) -> str:
    return value if isinstance(value, str) and _BARE.fullmatch(value) else json.dumps(value)


def _cut(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    if name == TRACE:
        return value[-MAX_TRACE_CHARS:]  # its end says what happened
    if len(value) <= MAX_VALUE_CHARS:
        return value
    if value.startswith("Traceback"):
        return "…" + value[-MAX_VALUE_CHARS:]
    return value[:MAX_VALUE_CHARS] + "…"
