"""Values of a file that somebody else may have written: what they must be, or a ValueError that names them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_WHOLE = 2**53  # what every kind of store keeps exactly
_SHOWN_CHARS = 60


def whole(name: str, value: object) -> int:
    """From 0."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_WHOLE:
        return value
    raise _wrong(name, value, f"a whole number from 0 to {MAX_WHOLE}")


def number(name: str, value: object) -> float:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_WHOLE:
        return float(value)
    raise _wrong(name, value, "a number")


def text(name: str, value: object) -> str:
    """That every store can keep."""
    if isinstance(value, str) and value == value.encode("utf-8", "replace").decode():
        return value
    raise _wrong(name, value, "a text")


def table(name: str, value: object) -> dict[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return dict(value)
    raise _wrong(name, value, "a table")


def _wrong(name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{name} is {repr(value)[:_SHOWN_CHARS]}; it must be {allowed}")
