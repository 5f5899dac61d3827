"""Wrong answers of a legacy service, by name: what stands in its place, in front of it, or what it has become.

`Lying(app, orders)` is the real service until its orders say `{"lie": "html"}`; its /health stays true.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.engine import Orders

JSON, HTML = "application/json", "text/html; charset=utf-8"
PART_BYTES = 1024 * 1024
LARGE_BYTES = 100 * 1024 * 1024
BOXES = 1_000_000

BOX: dict[str, Any] = {
    "class": "dog", "class_id": 1, "confidence": 0.75,
    "bbox": {"x": 40.0, "y": 30.0, "width": 200.0, "height": 150.0},
}  # fmt: skip
TRUE: dict[str, Any] = {
    "detections": [BOX], "inference_time_ms": 10.0, "image_width": 640, "image_height": 360,
}  # fmt: skip
PROXYS = b"<!DOCTYPE html><html><body><h1>Welcome</h1>Please log in to the network.</body></html>"


@dataclass(frozen=True)
class Said:
    parts: Callable[[], Iterator[bytes]]
    media_type: str = JSON
    status: int = 200


def _plain(body: bytes, media_type: str = JSON) -> Said:
    return Said(lambda: iter([body]), media_type)


def _document(**other: Any) -> Said:
    return _plain(json.dumps({**TRUE, **other}).encode())


def _box(**other: Any) -> Said:
    return _document(detections=[{**BOX, **other}])


def _placed(**other: Any) -> Said:
    return _box(bbox={**BOX["bbox"], **other})


def _large() -> Iterator[bytes]:
    """One string, of which the end never matters."""
    yield b'{"detections":[],"image_width":640,"image_height":360,"note":"'
    yield from (b"x" * PART_BYTES for _ in range(LARGE_BYTES // PART_BYTES))
    yield b'"}'


def _many() -> Iterator[bytes]:
    one, at_once = json.dumps(BOX).encode() + b",", 5_000
    yield b'{"image_width":640,"image_height":360,"detections":['
    yield from (one * at_once for _ in range(BOXES // at_once - 1))
    yield one * (at_once - 1) + one[:-1] + b"]}"


_WHOLE = json.dumps(TRUE).encode()
DOCUMENTS: Mapping[str, Said] = {
    "html": _plain(PROXYS, HTML),
    "html that says it is json": _plain(PROXYS),
    "truncated": _plain(_WHOLE[: len(_WHOLE) // 2]),
    "cut behind the boxes": _plain(_WHOLE[: _WHOLE.index(b"]") + 1]),
    "empty": _plain(b""),
    "null": _plain(b"null"),
    "a list": _plain(b"[]"),
    "an empty object": _plain(b"{}"),
    "an error document": _plain(b'{"error": "CUDA out of memory", "detections": null}'),
    "a problem": _plain(b'{"title": "Internal Server Error", "status": 500}', "application/problem+json"),
    "not utf-8": _plain(b'{"detections": [], "image_width": 640, "image_height": 360, "note": "\xff"}'),
    "deep": _plain(b"[" * 100_000),
}
BOXES_NO_MODEL_SEES: Mapping[str, Said] = {
    "nan": _plain(_WHOLE.replace(b"0.75", b"NaN")),
    "infinite": _plain(_WHOLE.replace(b"200.0", b"1e999")),
    "score over 1": _box(confidence=75),
    "negative width": _placed(width=-200.0),
    "outside": _placed(x=6000.0),
    "a text for a number": _placed(x="40"),
    "no class": _box(**{"class": ""}),
    "class of another type": _box(class_id="1"),
    "boxes without bbox": _document(detections=[{"class": "dog"}]),
    "no picture": _document(image_width=0),
    "a picture smaller than its box": _document(image_width=20, image_height=20),
    "size as text": _document(image_width="640"),
    "no size": _plain(json.dumps({"detections": [BOX]}).encode()),
    "an empty scene of no size": _plain(b'{"detections": []}'),
}
LARGE: Mapping[str, Said] = {"100 MB": Said(_large), "a million boxes": Said(_many)}
LIES: Mapping[str, Said] = {**DOCUMENTS, **BOXES_NO_MODEL_SEES, **LARGE}


class Lying:
    def __init__(self, app: Any, orders: Orders) -> None:
        self._app, self._orders = app, orders

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        lie = self._orders.read().get("lie") if scope.get("path") == "/detect" else None
        if lie is None:
            await self._app(scope, receive, send)
            return
        async for _ in _body(receive):
            pass
        await _say(LIES[lie], send)


async def _body(receive: Any) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _say(said: Said, send: Any) -> None:
    headers = [(b"content-type", said.media_type.encode())]
    await send({"type": "http.response.start", "status": said.status, "headers": headers})
    for part in said.parts():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
