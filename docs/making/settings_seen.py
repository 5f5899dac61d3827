"""What a tree of settings says of itself: each variable with its default, what is allowed and what it means."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

_MIB = 1024 * 1024
_BARE: dict[Any, str] = {str: "text", Path: "a path", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Seen:
    names: tuple[str, ...]
    default: str
    allowed: str
    meaning: str


def settings_of(
    tree: type[BaseSettings], prefixes: tuple[str, ...] = ("",), required: str = ""
) -> Iterator[Seen]:
    """`required`: the default of what the tree leaves to those who use it."""
    for name, field in tree.model_fields.items():
        default = (
            required if field.is_required() else said(name, field.get_default(call_default_factory=True))
        )
        names = tuple((prefix + name).upper() for prefix in prefixes)
        yield Seen(names, default, _allowed(field), field.description or "")


def said(name: str, value: Any) -> str:
    """As one would write it into `.env`."""
    if value in (None, "", (), {}):
        return "none"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, int) and not isinstance(value, bool):
        in_mib = name.endswith("_bytes") and value % _MIB == 0
        return f"{value} ({value // _MIB} MiB)" if in_mib else str(value)
    return f"`{_word(value)}`"


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(format(one, "g") for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    if kind is bool:
        return "`true`, `false`"
    if get_origin(kind) is tuple:
        return f"{_bounds(_of_alias(get_args(kind)[0]))}, with commas"
    if get_origin(kind) is dict:
        return f"{_bounds(_of_alias(get_args(kind)[1]))} each"
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(one for one in get_args(kind) if one is not type(None))
    return _bounds(field.metadata) or _BARE[kind]


def _of_alias(annotated: Any) -> list[Any]:
    return [bound for given in get_args(annotated)[1:] for bound in getattr(given, "metadata", [given])]


def _bounds(metadata: list[Any]) -> str:
    """pydantic keeps each bound as a value of its own."""
    found = {
        word: getattr(one, word)
        for one in metadata
        for word in ("ge", "gt", "le", "lt")
        if hasattr(one, word)
    }
    low = f"over {found['gt']:g}" if "gt" in found else f"{found['ge']}" if "ge" in found else ""
    high = f"under {found['lt']:g}" if "lt" in found else f"{found['le']}" if "le" in found else ""
    return f"{low} to {high}" if low and high else low and (low if "over" in low else f"{low} or more")
