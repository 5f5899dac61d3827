"""Ways to spoil a JSON document that know what JSON is: values swapped, keys doubled, nesting, numbers out of range."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz.spoiling import BLIND, Spoiler

MAX_DOCUMENT_BYTES = 4_000_000  # giants are made by hand

# What no JSON library writes by itself; put in by their marks, after the document has become text.
_RAW = {
    "@huge": "1e400", "@minus": "-1e400", "@nan": "NaN", "@infinity": "-Infinity", "@long": "9" * 5_000,
    "@fraction": "0." + "3" * 400, "@tiny": "1e-400", "@deep": "[" * 100_000, "@nested": "[" * 500 + "]" * 500,
    "@half": '"\\ud800"', "@null": '"\\u0000"', "@zero": "-0.0", "@float": "1.0", "@twice": '{"x":1,"x":2}',
}  # fmt: skip
_VALUES: tuple[Any, ...] = (
    *_RAW, None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, 0.5, 1.5, "", "x", "1", "é" * 101,
    [], {}, [0], {"x": 0},
)  # fmt: skip


def spoiled_document(document: Any, rng: random.Random) -> bytes:
    """Some values and keys of it exchanged, doubled or gone; now and then the bytes are spoiled as well."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        document = _spoil_one(document, rng)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    data = _double_key(text, rng).encode("utf-8", "surrogatepass")[:MAX_DOCUMENT_BYTES]
    ways: tuple[Spoiler, ...] = (*BLIND, _bad_utf8)
    return rng.choice(ways)(data, rng) if rng.random() < 0.3 else data


def _spoil_one(document: Any, rng: random.Random) -> Any:
    holders = _holders(document)
    if not holders:
        return rng.choice(_VALUES)
    holder, key = rng.choice(holders)
    deed = rng.random()
    if deed < 0.7:
        return _with(document, holder, key, rng.choice(_VALUES))
    if deed < 0.85:
        return _without(document, holder, key)
    return _with(document, holder, key, [holder[key]] * rng.choice((1, 2, 300)))


def _holders(document: Any) -> list[tuple[Any, Any]]:
    """Each table or list within, with each of its keys."""
    keys = (
        document.keys()
        if isinstance(document, dict)
        else range(len(document))
        if isinstance(document, list)
        else ()
    )
    own = [(document, key) for key in keys]
    return own + [found for key in keys for found in _holders(document[key])]


def _with(document: Any, holder: Any, key: Any, value: Any) -> Any:
    """A copy in which this place of this holder has another value."""
    if isinstance(document, dict):
        return {
            k: value if document is holder and k == key else _with(v, holder, key, value)
            for k, v in document.items()
        }
    if isinstance(document, list):
        return [
            value if document is holder and i == key else _with(v, holder, key, value)
            for i, v in enumerate(document)
        ]
    return document


def _without(document: Any, holder: Any, key: Any) -> Any:
    if isinstance(document, dict):
        return {
            k: _without(v, holder, key) for k, v in document.items() if not (document is holder and k == key)
        }
    if isinstance(document, list):
        return [
            _without(v, holder, key) for i, v in enumerate(document) if not (document is holder and i == key)
        ]
    return document


def _double_key(text: str, rng: random.Random) -> str:
    """A table says one key twice, and means two things."""
    at = text.find("{", rng.randrange(len(text) + 1))
    if at < 0 or rng.random() < 0.8:
        return text
    key = rng.choice(
        ("confidence", "bbox", "class", "x", "image_width", "outputs", "shape", "name", "detections")
    )
    return f'{text[: at + 1]}"{key}": {rng.choice(("0", "[]", "null", "1e400"))}, {text[at + 1 :]}'


def _bad_utf8(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return (
        data[:at]
        + rng.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xef\xbb\xbf"))
        + data[at:]
    )
