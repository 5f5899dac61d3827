"""Spoiled answers of a legacy service: what the bytes say, or a BackendError; in memory and over a connection."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from ai.core.detections import Detections
from ai.core.errors import BackendError
from ai.core.sample import sample_jpeg
from backend.transports.base import Ask
from backend.transports.legacy import MAX_ANSWER_BYTES, LegacyTransport
from backend.transports.legacy_answers import Reply, detections_of
from tests.fuzz.json_spoiling import spoiled_document
from tests.fuzz.said import check_believed, refused
from tests.fuzz.spoiling import BLIND, spoiled
from tests.fuzz.target import ACCEPTED, hold
from tests.liars import http

_STATUSES = (200, 201, 204, 206, 301, 302, 400, 401, 404, 408, 413, 415, 422, 429, 500, 502, 503, 504, 599)
_BOX = {
    "class": "cat",
    "class_id": 15,
    "confidence": 0.75,
    "bbox": {"x": 1.5, "y": 2, "width": 30, "height": 40},
}
_DOG = {
    "class": "dog",
    "class_id": 16,
    "confidence": 1,
    "bbox": {"x": 0, "y": 0, "width": 640, "height": 480},
}
PROBLEM = {"type": "about:blank", "title": "Bad", "status": 400, "detail": "The picture is broken."}
CALL_S = 5.0  # of a call to a server that hangs up by itself


def answer_of(boxes: int) -> dict[str, Any]:
    found = [(_BOX, _DOG)[index % 2] for index in range(boxes)]
    return {"detections": found, "inference_time_ms": 2.5, "image_width": 640, "image_height": 480}


class LegacyAnswers:
    name = "legacy-answers"
    memory_bound_mb = 64.0
    time_bound = 8.0

    def make(self, number: int, rng: random.Random) -> bytes:
        """The status in the first line, then the body."""
        status = 200 if rng.random() < 0.8 else rng.choice(_STATUSES)
        document = PROBLEM if rng.random() < 0.1 else answer_of(rng.choice((0, 1, 2, 3, 30)))
        return b"%d\n" % status + spoiled_document(document, rng)

    def ask(self, data: bytes) -> str:
        status, _, content = data.partition(b"\n")
        try:
            found = detections_of(Reply(int(status), {"content-type": "application/json"}, content))
        except BackendError as error:
            return refused(error)
        check_truth(found, content)
        return ACCEPTED

    def controls(self) -> Sequence[bytes]:
        """Of as many boxes as one answer can hold."""
        boxes = MAX_ANSWER_BYTES // 110
        return (b"200\n" + json.dumps(answer_of(boxes)).encode(),)

    def close(self) -> None:
        return


class LegacyLine:
    """The same through the real transport, with the head of the answer spoiled too."""

    name = "legacy-line"
    memory_bound_mb = 64.0
    time_bound = 8.0

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._reply = b""
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        port = self._server.sockets[0].getsockname()[1]
        self._transport = LegacyTransport({"yolo26": f"http://127.0.0.1:{port}"})

    def make(self, number: int, rng: random.Random) -> bytes:
        document = PROBLEM if rng.random() < 0.1 else answer_of(rng.choice((0, 1, 3)))
        reply = http(spoiled_document(document, rng), content_type="application/json")
        if rng.random() < 0.02:
            return reply + b" " * MAX_ANSWER_BYTES
        return spoiled(reply, rng, BLIND) if rng.random() < 0.6 else reply

    def ask(self, data: bytes) -> str:
        self._reply = data
        try:
            found = self._loop.run_until_complete(
                self._transport.detect(Ask("yolo26", sample_jpeg(), CALL_S))
            )
        except BackendError as error:
            return refused(error)
        hold(found.model_version == "", "a legacy service has no versions")
        return ACCEPTED

    def controls(self) -> Sequence[bytes]:
        return (http(json.dumps(answer_of(MAX_ANSWER_BYTES // 110)).encode()),)

    def close(self) -> None:
        self._loop.run_until_complete(self._transport.close())
        self._server.close()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            writer.write(self._reply)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def check_truth(found: Detections, content: bytes) -> None:
    """Read once more, by nothing of the product but the standard library."""
    said = json.loads(content)
    hold(
        (found.image_width, found.image_height) == (said["image_width"], said["image_height"]), "another size"
    )
    rows = [
        (
            b["x"],
            b["y"],
            b["x"] + b["width"],
            b["y"] + b["height"],
            one["confidence"],
            one["class_id"],
            one["class"],
        )
        for one in said["detections"]
        for b in (one["bbox"],)
    ]
    check_believed(found, rows)
