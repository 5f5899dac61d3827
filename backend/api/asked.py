"""What a caller asks for in the query, and of the rollout in a JSON body.

Read by hand: on the way of every picture validation by a model is felt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unicodedata import category

from fastapi import Request

from ai.core.detections import Thresholds
from ai.web.intake import Intake
from ai.web.problems import Problem
from backend.api.parts import Parts
from backend.rollout.state import MAX_NAME_CHARS
from backend.sides import LEGACY, TRITON, Side

MAX_QUERY_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024  # thousands of pins
MAX_REASON_CHARS = 500

_NO_TEXT = (
    "Cc",
    "Cs",
    "Zl",
    "Zp",
)  # control signs, halves of signs, ends of lines: see unicode.org/reports/tr44


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


def name(request: Request, what: str) -> str:
    """Empty where none was asked for."""
    return _name(what, request.query_params.get(what)) or ""


def choice(request: Request, what: str, allowed: Sequence[str]) -> str:
    """One of these words; the first where none was asked for."""
    text = request.query_params.get(what) or allowed[0]
    if text not in allowed:
        raise Problem(422, f"{what} is {text[:40]!r}; it must be {' or '.join(allowed)}")
    return text


def known_detector(value: object, detectors: Sequence[str]) -> str | None:
    """A slip in a name would read as obeyed, and change nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value in detectors:
        return value
    raise Problem(422, f"there is no detector {str(value)[:40]!r}; there are {', '.join(detectors)}")


async def fields(request: Request, parts: Parts) -> dict[str, Any]:
    """The JSON object that is the body."""
    with parts.budget.share() as take:
        body = await Intake(request, parts.intake_limits, take).document(MAX_BODY_BYTES)
    if not isinstance(body, dict):
        raise Problem(422, 'the body must be a JSON object, such as {"fraction": 0.1}')
    return body


def reason(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_REASON_CHARS:
        raise Problem(422, f"reason must be a text of at most {MAX_REASON_CHARS} signs")
    for sign in value:
        if category(sign) in _NO_TEXT:
            raise Problem(422, f"reason holds {sign!a}, which cannot be shown; it must be one line of text")
    return value


def require_printable(what: str, names: Iterable[object]) -> None:
    """A camera with such a name is refused as well, so no picture could ever be of it."""
    for one in names:
        if isinstance(one, str) and not one.isprintable():
            raise Problem(422, f"{what}: the name {one[:40]!a} holds signs that cannot be printed")


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
