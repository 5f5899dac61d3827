"""What a caller asks for in the query. Read by hand: on the way of every picture validation by a model is felt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fastapi import Request

from ai.core.detections import Thresholds
from ai.web.problems import Problem
from backend.rollout.state import MAX_NAME_CHARS
from backend.sides import LEGACY, TRITON, Side

MAX_QUERY_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """None leaves it to the settings and the flags."""

    detector: str | None = None
    camera: str | None = None
    thresholds: Thresholds | None = None
    force: Side | None = None

    @classmethod
    def of(cls, request: Request) -> Asked:
        """A Problem for a value that cannot be; names that we do not know are ignored."""
        query = request.scope["query_string"]
        if not query:
            return _NOTHING
        if len(query) > MAX_QUERY_BYTES:
            raise Problem(414, f"the query has {len(query):,} bytes; at most {MAX_QUERY_BYTES:,} are taken")
        values = request.query_params
        return cls(
            _name("detector", values.get("detector")),
            _name("camera", values.get("camera")),
            thresholds(values.get("min_confidence")),
            _side(values.get("backend")),
        )

    def with_confidence(self, text: str | None) -> Asked:
        """The same, where a form says it too."""
        return self if text is None else replace(self, thresholds=thresholds(text))


_NOTHING = Asked()


def thresholds(text: str | None) -> Thresholds | None:
    """One for every class: whoever names a confidence means it."""
    if not text:
        return None
    try:
        least = float(text)
    except ValueError:
        least = math.nan
    if not 0 <= least <= 1:
        raise Problem(422, f"min_confidence is {text[:40]!r}; it must be a number from 0 to 1")
    return Thresholds(least)


def count(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query, from 1 to `most`."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise Problem(422, f"{name} is {text[:40]!r}; it must be a whole number from 1 to {most:,}")
    return int(text)


def _name(what: str, text: str | None) -> str | None:
    if not text:
        return None
    if len(text) > MAX_NAME_CHARS:
        raise Problem(
            422, f"the name of the {what} has {len(text):,} signs; at most {MAX_NAME_CHARS} are taken"
        )
    if not text.isprintable():
        raise Problem(422, f"the name of the {what}, {text[:40]!r}, holds signs that cannot be printed")
    return text


def _side(text: str | None) -> Side | None:
    if not text:
        return None
    if text == LEGACY:
        return LEGACY
    if text == TRITON:
        return TRITON
    raise Problem(422, f"backend is {text[:40]!r}; it must be {LEGACY} or {TRITON}")
