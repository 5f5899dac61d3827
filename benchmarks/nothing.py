"""An endpoint that does nothing: reads the body and says the same eight detections.

What the generator reaches here is its ceiling. It is a low estimate: uvicorn, which also carries the
services, is a part of it, and the larger one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_DETECTION = {
    "class": "person",
    "class_id": 0,
    "confidence": 0.9312,
    "bbox": {"x": 212.4012, "y": 88.1034, "width": 61.0231, "height": 143.9087},
}
_BODY = json.dumps(
    {
        "detections": [_DETECTION] * 8,
        "inference_time_ms": 0.0,
        "image_width": 1280,
        "image_height": 720,
        "status": "healthy",  # the same answer serves /health
    }
).encode()
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"server-timing", b"decode;dur=0, preprocess;dur=0, queue;dur=0, inference;dur=0, postprocess;dur=0"),
]


async def answer(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    assert scope["type"] == "http", "the server is told to keep the lifespan and websockets to itself"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    uvicorn.run(
        answer,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=False,
        lifespan="off",
        ws="none",
        log_level="warning",
    )
