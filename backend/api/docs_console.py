"""What /docs says of the console: its files, whose key it holds, and what it draws."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from backend.api.console import MEDIA_TYPES
from backend.api.describing import KEY, Example, Operation, answered, parameter, problems, takes
from backend.api.schemas import TEXT

_ME: Example = {
    "name": "admin", "role": "admin", "detection_open": True, "detectors": ["rtdetr", "yolo26"],
    "default_detector": "rtdetr", "console": "9f2c41d07be3",
}  # fmt: skip
_SIDE: Example = {
    "requests": {"ok": 4096}, "durations": [0, 0, 0, 12, 1808, 3600, 4096], "attempts": {"ok": 4101, "overloaded": 3},
    "in_flight_all_detectors": 2, "breaker": "closed", "ready": True,
}  # fmt: skip
_TRAFFIC: Example = {
    "at": 1795248000.2,
    "detectors": {
        "rtdetr": {
            "sides": {"legacy": _SIDE, "triton": _SIDE},
            "unserved": {"unavailable": 0, "busy": 2, "late": 0},
            "fallbacks": [{"from": "triton", "to": "legacy", "reason": "overloaded", "count": 3}],
            "compared": {"same": 412, "different": 1, "triton_failed": 0, "legacy_failed": 0},
            "headroom": 3.1,
        }
    },
    "edges_s": [0.002, 0.005, 0.01, 0.02, 0.05, 0.1],
    "shed": {"full": 2, "share": 0, "pace": 0},
    "retries": 1,
}  # fmt: skip
_KNOWN = parameter("header", "If-None-Match", TEXT, "The ETag of what is there already")
_NAME = {
    "name": "name", "in": "path", "required": True, "description": "As the page names it",
    "schema": {"type": "string", "pattern": "^[a-z_]{1,40}\\.(js|css|svg|html)$"}, "example": "main.js",
}  # fmt: skip


def _files(*media_types: str) -> dict[int | str, Any]:
    content = {one.partition(";")[0]: {"schema": TEXT, "example": "…"} for one in media_types}
    return {
        200: {"description": "The file", "content": content},
        304: {"description": "It is what If-None-Match names"},
        **problems(404),
    }


ME: Operation = {
    "tags": ["console"],
    "summary": "Whose key this is, what it may do, and which detectors there are",
    "openapi_extra": takes(None, [], KEY),
    "responses": {200: answered("Me", _ME), **problems(401)},
}
TRAFFIC: Operation = {
    "tags": ["console"],
    "summary": "What has passed through all workers since they began; take differences, begin anew where one fell",
    "openapi_extra": takes(None, [], KEY),
    "responses": {200: answered("Traffic", _TRAFFIC), **problems(401, 403)},
}
INDEX: Operation = {
    "tags": ["console"],
    "summary": "The console",
    "openapi_extra": takes(None, [_KNOWN], []),
    "response_class": Response,
    "responses": _files(MEDIA_TYPES[".html"]),
}
DOCS: Operation = {
    "tags": ["console"],
    "summary": "This description as a page",
    "openapi_extra": takes(None, [_KNOWN], []),
    "response_class": Response,
    "responses": _files(MEDIA_TYPES[".html"]),
}
FILE: Operation = {
    "tags": ["console"],
    "summary": "One of its files",
    "openapi_extra": takes(None, [_NAME, _KNOWN], []),
    "response_class": Response,
    "responses": _files(*MEDIA_TYPES.values()),
}
