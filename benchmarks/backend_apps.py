"""The backend with sides that answer at once, and the least that a FastAPI route can be; both are served alike.

    python -m benchmarks.backend_apps backend 8080
    python -m benchmarks.backend_apps bare 8081

The bare route receives the same body and says the same words, so what is between the two is the backend's own.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response, UploadFile

from ai.core.detections import Detections
from ai.web.heads import BoundedHeads
from backend import main as composed
from backend.api import answers
from backend.rollout.decision import Decision
from backend.serve import KEEP_ALIVE_S
from backend.services.request import Served
from backend.sides import SIDES, TRITON, Side
from backend.transports.base import Found
from backend.transports.fake import FakeTransport

OBJECTS = 8
SIZE = (1728, 972)  # of the pictures that are sent
PATH, FORM_PATH = "/api/detect", "/form"

FOUND = Found(
    Detections.from_table(
        [
            (100.5 + 7 * one, 50.25, 180.75 + 9 * one, 210.5, 0.95 - one / 20, float(one))
            for one in range(OBJECTS)
        ],
        *SIZE,
    ),
    "1",
)

# As `backend.serve` says it, but for what concerns several workers; a test holds them together.
SERVED: dict[str, Any] = {
    "host": "127.0.0.1",
    "loop": "uvloop",
    "http": BoundedHeads,
    "ws": "none",
    "access_log": False,
    "log_config": None,
    "server_header": False,
    "timeout_keep_alive": KEEP_ALIVE_S,
}


def backend() -> FastAPI:
    return composed.app(sides())


def sides(found: Found = FOUND) -> Mapping[Side, FakeTransport]:
    return {side: _forgetful(FakeTransport(found)) for side in SIDES}


def _forgetful(side: FakeTransport) -> FakeTransport:
    """Thousands of pictures that are kept for a test to look at would be a gigabyte that no real side keeps."""
    side.asked = deque(maxlen=1)
    return side


def bare() -> FastAPI:
    app = FastAPI()
    content = said()

    async def raw(request: Request) -> Response:
        await request.body()
        return Response(content, media_type="application/json")

    async def form(file: UploadFile) -> Response:
        await file.read()
        return Response(content, media_type="application/json")

    app.add_api_route(PATH, raw, methods=["POST"])
    app.add_api_route(FORM_PATH, form, methods=["POST"])
    app.add_api_route("/health", _healthy)
    return app


def said() -> bytes:
    """What the backend answers, to the digit that its times take."""
    decision = Decision(TRITON, "FRACTION", 50_000, 1.0, 1, False, True)
    served = Served(FOUND.detections, TRITON, "yolo26", "1", decision, None, 1, 0.000123, 0.000123)
    return json.dumps(answers.single(served), separators=(",", ":")).encode()


async def _healthy() -> dict[str, str]:
    return {"status": "healthy"}


APPS: Mapping[str, Callable[[], FastAPI]] = {"backend": backend, "bare": bare}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backend_apps")
    parser.add_argument("app", choices=APPS)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    uvicorn.run(APPS[options.app](), port=options.port, **SERVED)


if __name__ == "__main__":
    main()
