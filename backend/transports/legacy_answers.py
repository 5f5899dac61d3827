"""What a legacy service answers, believed only where it can be true, and what its refusals mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ai.core.detections import Detections, Row
from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidDetections,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from ai.core.labels import is_whole

MAX_CLASS_ID = 9_999
MAX_LABEL_CHARS = 100
MAX_SIDE_PIXELS = 1_000_000
MAX_WORDS = 300  # of a service's own text in a message

_NUMBERS = frozenset({int, float})

# Whatever is not here is a ServerError: redirects, a proxy that asks for a key, 500.
_KINDS: Mapping[int, type[BackendError]] = MappingProxyType(
    {
        204: InvalidModelOutput,
        206: InvalidModelOutput,
        400: Refused,
        404: ModelNotFound,
        405: ModelNotFound,  # something else listens there
        408: Unavailable,  # our picture did not get through in time; that is no fault of the picture
        413: Refused,
        415: Refused,
        422: Refused,
        429: Overloaded,
        502: Unavailable,
        503: Unavailable,
        504: DeadlineExceeded,
    }
)
# A test pins this to the real service, which asks to be tried again in both cases.
_NOT_READY = re.compile(r".{0,200} is not ready: ")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # by their names in small letters
    content: bytes


def detections_of(reply: Reply) -> Detections:
    """Raises the BackendError that the reply stands for, if it is not a set of detections."""
    if reply.status != 200:
        raise fault(reply)
    try:
        return _detections(json.loads(reply.content, parse_constant=_no_number))
    except KeyError as error:
        raise _nonsense(f"{error} is missing") from error
    except (InvalidDetections, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _nonsense(str(error)) from error


def fault(reply: Reply) -> BackendError:
    """What a status other than 200 means."""
    if 300 <= reply.status < 400:
        where = _in_short(reply.headers.get("location", "nowhere"))
        return ServerError(f"The service redirects ({reply.status}) to {where}, which is not followed.")
    kind, words = _KINDS.get(reply.status, ServerError), _words(reply)
    if reply.status == 503 and _is_full(reply, words):
        kind = Overloaded
    return kind(f"The service says {reply.status}: {_in_short(words)}")


def _detections(document: Any) -> Detections:
    found, width, height = document["detections"], document["image_width"], document["image_height"]
    if type(found) is not list:
        raise TypeError("detections are no list")
    if not (_is_count(width, MAX_SIDE_PIXELS) and _is_count(height, MAX_SIDE_PIXELS)):
        raise TypeError("the image's size is no number of pixels")
    names: dict[int, str] = {}
    rows = [_row(one, names) for one in found]
    labels = tuple(names.get(index, "") for index in range(max(names, default=-1) + 1))
    return Detections.from_table(rows, width, height, labels)


def _row(found: Any, names: dict[int, str]) -> Row:
    """One detection as numbers; its class is noted in `names`."""
    box, score, class_id, label = found["bbox"], found["confidence"], found["class_id"], found["class"]
    x, y, width, height = box["x"], box["y"], box["width"], box["height"]
    if not {type(x), type(y), type(width), type(height), type(score)} <= _NUMBERS:
        raise TypeError("a box or its confidence is no number")
    if not _is_count(class_id, MAX_CLASS_ID):
        raise TypeError(f"a class_id is not a whole number from 0 to {MAX_CLASS_ID}")
    if type(label) is not str or not 0 < len(label) <= MAX_LABEL_CHARS or not is_whole(label):
        raise TypeError(f"a class is not a name of 1 to {MAX_LABEL_CHARS} characters")
    if names.setdefault(class_id, label) != label:
        raise ValueError(f"class {class_id} has two names")
    return float(x), float(y), float(x + width), float(y + height), float(score), float(class_id)


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value <= most  # and no bool


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _nonsense(why: str) -> InvalidModelOutput:
    return InvalidModelOutput(f"The service's answer cannot be detections: {_in_short(why)}")


def _is_full(reply: Reply, words: str) -> bool:
    """Our services say so, and when to come again; a proxy that asks for patience speaks of a service that is away."""
    ours = reply.headers.get("content-type", "").startswith("application/problem+json")
    return ours and "retry-after" in reply.headers and not _NOT_READY.match(words)


def _words(reply: Reply) -> str:
    """Our services say {"detail": "…"}; a proxy says what it likes."""
    try:
        return str(json.loads(reply.content)["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return reply.content.decode(errors="replace")


def _in_short(text: str) -> str:
    """The first line."""
    line = text.strip().split("\n", 1)[0].strip()
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
