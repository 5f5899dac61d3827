"""The console's own files before a backend that says whatever a test wants it to: what no real one says on demand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ai.core.sample import sample_jpeg
from backend.api import console
from docs.making.api import document

Table = dict[str, Any]
Answer = Callable[[Table], Response]

SIDE: Table = {
    "requests": {"ok": 0}, "durations": [0] * 4, "attempts": {"ok": 0}, "in_flight_all_detectors": 0,
    "breaker": "closed", "ready": True,
}  # fmt: skip
DETECTOR: Table = {
    "sides": {"legacy": SIDE, "triton": SIDE}, "unserved": {}, "fallbacks": [], "compared": {}, "headroom": None,
}  # fmt: skip


def rollout_of(version: int = 7, **told: Any) -> Table:
    known = {
        "version": version, "enabled": True, "fraction": 0.1, "shadow": 0.0, "overrides": {}, "pins": {},
        "pins_suspended": False, "kill_switch": False, "stale": False, "effective": {"rtdetr": 0.1, "yolo26": 0.1},
        "workers": [{"worker": "nvr-1", "version": version, "at": time.time()}], "ramps": {},
    }  # fmt: skip
    return known | told


def traffic_of(at: float, **detectors: Table) -> Table:
    return {
        "at": at, "detectors": detectors or {"rtdetr": DETECTOR, "yolo26": DETECTOR}, "edges_s": [0.1, 1.0, 10.0],
        "shed": {}, "retries": 0,
    }  # fmt: skip


def problem(status: int, detail: str, **more: Any) -> Response:
    document = {"type": "about:blank", "title": "No", "status": status, "detail": detail, **more}
    return JSONResponse(document, status, media_type="application/problem+json")


def change_of(version: int, **told: Any) -> Table:
    before, after = rollout_of(version - 1, fraction=0.1), rollout_of(version, fraction=0.0)
    known = {
        "version": version,
        "at": time.time(),
        "who": "ops",
        "reason": "",
        "before": before,
        "after": after,
        "figures": None,
    }
    return known | told


def sample_of(number: int, **told: Any) -> Table:
    name = f"{number:026d}"
    known = {
        "id": name, "at": time.time(), "detector": "rtdetr", "camera": "yard", "epoch": "", "light": "day",
        "model_version": "1", "kinds": ["missed"], "labels": ["person"], "legacy": [[10, 10, 90, 90, 0.9, 0]],
        "triton": [], "width": 960, "height": 540, "picture": f"/api/rollout/samples/{name}.jpg",
        "names": {"0": "person"},
    }  # fmt: skip
    return known | told


@dataclass
class Backend:
    """What it says is what its members hold when it is asked. `answers` take the place of all it would say."""

    me: Table = field(default_factory=lambda: {
        "name": "ops", "role": "admin", "detection_open": True, "detectors": ["rtdetr", "yolo26"],
        "default_detector": "rtdetr", "console": "1",
    })  # fmt: skip
    rollout: Table = field(default_factory=rollout_of)
    first_events: list[tuple[str, Table]] = field(default_factory=list)
    changes: list[Table] = field(default_factory=list)
    samples: list[Table] = field(default_factory=list)
    detections: list[Table] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str, Table]] = field(default_factory=list)
    url: str = ""
    _listeners: list[asyncio.Queue[bytes | None]] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None

    def tell(self, event: str, document: Table) -> None:
        frame = f"event: {event}\ndata: {json.dumps(document)}\n\n".encode()
        self._to_all(frame)

    def hang_up(self) -> None:
        self._to_all(None)

    @property
    def listening(self) -> int:
        return len(self._listeners)

    def asked_for(self, method: str, path: str) -> list[Table]:
        return [sent for one, where, sent in self.asked if (one, where) == (method, path)]

    def _to_all(self, frame: bytes | None) -> None:
        if self._loop is None:
            return
        for queue in list(self._listeners):
            self._loop.call_soon_threadsafe(queue.put_nowait, frame)

    async def events(self, _: Request) -> Response:
        self._loop = asyncio.get_running_loop()
        if answer := self.answers.get("GET /api/rollout/events"):
            return answer({})
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._listeners.append(queue)
        first = self.first_events or [("rollout", self.rollout), ("traffic", traffic_of(time.time()))]
        try:
            for event, document in first:
                yield f"event: {event}\ndata: {json.dumps(document)}\n\n".encode()
            while (frame := await queue.get()) is not None:
                yield frame
        finally:
            self._listeners.remove(queue)

    async def asks(self, request: Request) -> Response:
        self._loop = asyncio.get_running_loop()
        body = await request.body()
        path = request.url.path
        sent = json.loads(body) if body and request.headers.get("content-type") == "application/json" else {}
        self.asked.append(
            (request.method, path, {**sent, **request.query_params, "key": request.headers.get("x-api-key")})
        )
        if answer := self.answers.get(f"{request.method} {path}"):
            return await asyncio.to_thread(answer, sent)
        return self.usual(request.method, path, sent)

    def usual(self, method: str, path: str, sent: Table) -> Response:
        if path.endswith(".jpg"):
            return Response(sample_jpeg(), media_type="image/jpeg")
        documents: dict[str, Any] = {
            "/api/me": self.me, "/api/rollout/history": {"changes": self.changes},
            "/api/rollout/samples": {"samples": self.samples}, "/api/detect": self._detected(),
            "/openapi.json": document(),
        }  # fmt: skip
        if path == "/api/rollout/rollback":
            self.rollout = rollout_of(
                self.rollout["version"] + 1, fraction=0.0, effective={"rtdetr": 0.0, "yolo26": 0.0}
            )
            return JSONResponse(self.rollout | {"pending": []})
        if path == "/api/rollout" and method == "PUT":
            self.rollout = deepcopy(self.rollout) | sent | {"version": self.rollout["version"] + 1}
        return JSONResponse(
            documents.get(path, self.rollout), headers={"ETag": f'"v{self.rollout["version"]}"'}
        )

    def _detected(self) -> Table:
        by = {
            "backend": "legacy", "detector": "rtdetr", "model_version": "1", "reason": "FORCED",
            "fallback_reason": None, "attempts": 1, "bucket": 0, "flag_version": 7,
        }  # fmt: skip
        return {
            "detections": self.detections, "image": {"width": 960, "height": 540}, "served_by": by,
            "timing_ms": {"total": 9.0, "backend": 8.0},
        }  # fmt: skip


@contextmanager
def scripted_backend() -> Iterator[Backend]:
    backend = Backend()
    app = Starlette(routes=[
        Route("/api/rollout/events", backend.events),
        Route("/api/{path:path}", backend.asks, methods=["GET", "PUT", "POST", "DELETE"]),
        Route("/openapi.json", backend.asks),
        Route("/docs", console.docs),
        Route("/", console.index),
        Route("/console/{name}", console.file),
    ])  # fmt: skip
    app.state.console = console.read()
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        backend.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield backend
    finally:
        server.should_exit = True
        backend.hang_up()
        thread.join(20)
