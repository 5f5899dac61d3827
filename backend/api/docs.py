"""What /docs says of each endpoint. Bodies and queries are read by hand, so they are described by hand."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse

from backend.api.describing import (
    KEY_OR_NONE,
    Example,
    Operation,
    answered,
    parameter,
    problem_example,
    problems,
    takes,
)
from backend.api.keys import HEADER
from backend.api.roles import role_of
from backend.api.schemas import BINARY, COMPONENTS, NAME, SHARE, SIDE, TEXT, listed, table
from backend.settings import DETECTORS

TITLE = "Crossfade"
SUMMARY = (
    "Object detection by two sides, legacy and Triton: pictures in, boxes out, and who found them and why."
)
TAGS = [
    {"name": "detection", "description": "JPEG, PNG or WebP in; boxes in pixels of the upright picture out"},
    {"name": "rollout", "description": "How much of the traffic Triton serves"},
    {"name": "ramp", "description": "How that share grows by itself, and by what evidence"},
    {"name": "operation", "description": "For whoever runs it"},
    {"name": "console", "description": "The page for people, and what it asks for beside the rollout"},
]

_DETECTION: Example = {
    "class": "person",
    "class_id": 0,
    "confidence": 0.93,
    "bbox": {"x": 212.4, "y": 88.1, "width": 61.0, "height": 143.9},
}
_ANSWER: Example = {
    "detections": [_DETECTION],
    "image": {"width": 960, "height": 540},
    "served_by": {
        "backend": "triton", "detector": "rtdetr", "model_version": "1", "reason": "FRACTION",
        "fallback_reason": None, "attempts": 1, "bucket": 8213, "flag_version": 12,
    },
    "timing_ms": {"total": 41.2, "backend": 40.3},
}  # fmt: skip
_LANES: list[Example] = [
    {"detector": "rtdetr", "backend": "legacy", "allowed": True, "breaker": "closed", "heard": True, "in_flight": 2,
     "for_callers": True},
    {"detector": "rtdetr", "backend": "triton", "allowed": True, "breaker": "open", "heard": True, "in_flight": 0,
     "for_callers": False},
]  # fmt: skip


_RESULTS: list[Example] = [
    {"index": 0, "filename": "drive.jpg", **_ANSWER},
    {"index": 1, "filename": "broken.jpg",
     "error": problem_example(400, "Bad Request", "The JPEG's header is cut short.")},
]  # fmt: skip

_DETECTION_PROBLEMS = (400, 401, 403, 408, 409, 413, 414, 415, 422, 503, 504)


_DETECTOR = parameter(
    "query", "detector", {"type": "string", "enum": list(DETECTORS)}, "Which detector; none: TRITON_MODEL"
)
_CAMERA = parameter("query", "camera", NAME, "Whose picture it is: pins, quotas and fair shares go by it")
_CONFIDENCE = parameter("query", "min_confidence", SHARE, "The least confidence, for every class")
_BACKEND = parameter(
    "query", "backend", SIDE, "For a diagnosis by an admin: this side, and no other after it"
)
_DEADLINE = parameter(
    "header", "X-Deadline-Ms", {"type": "number", "minimum": 0, "maximum": 3_600_000},
    "Milliseconds that the caller still waits",
)  # fmt: skip
_REQUEST_ID = parameter(
    "header", "X-Request-ID", {"type": "string", "maxLength": 128}, "Comes back as X-Client-Request-ID"
)
_DETECT_PARAMETERS = [_DETECTOR, _CAMERA, _CONFIDENCE, _BACKEND, _DEADLINE, _REQUEST_ID]
_BASE64 = table({"image_base64": TEXT})


DETECT: Operation = {
    "tags": ["detection"],
    "summary": "Detect objects in one picture",
    "openapi_extra": takes(
        {
            "multipart/form-data": {
                "schema": table({"file": BINARY, "image_base64": TEXT}, ("file", "image_base64"))
            },
            "application/json": {"schema": _BASE64},
            "application/x-www-form-urlencoded": {"schema": _BASE64},
            "image/*": {"schema": BINARY},
        },
        _DETECT_PARAMETERS,
        KEY_OR_NONE,
    ),
    "responses": {200: answered("Answer", _ANSWER), **problems(*_DETECTION_PROBLEMS)},
}
DETECT_BATCH: Operation = {
    "tags": ["detection"],
    "summary": "Detect objects in several pictures; a bad one is an error at its index",
    "openapi_extra": takes(
        {"multipart/form-data": {"schema": table({"files": {**listed(BINARY), "minItems": 1}})}},
        _DETECT_PARAMETERS,
        KEY_OR_NONE,
    ),
    "responses": {
        200: answered("BatchAnswer", {"results": _RESULTS, "num_images": 2, "timing_ms": {"total": 97.5}}),
        **problems(*_DETECTION_PROBLEMS),
    },
}
DEEPSTACK: Operation = {
    "tags": ["detection"],
    "summary": "The same for software that speaks DeepStack's protocol, such as Frigate",
    "openapi_extra": takes(
        {
            "multipart/form-data": {
                "schema": table(
                    {"image": BINARY, "min_confidence": SHARE, "api_key": TEXT}, ("min_confidence", "api_key")
                )
            }
        },
        _DETECT_PARAMETERS,
        KEY_OR_NONE,
    ),
    "responses": {
        200: answered(
            "DeepStackAnswer",
            {
                "success": True,
                "predictions": [
                    {
                        "label": "person",
                        "confidence": 0.93,
                        "x_min": 212,
                        "y_min": 88,
                        "x_max": 273,
                        "y_max": 232,
                    }
                ],
                "duration": 41,
            },
        ),
        **problems(*_DETECTION_PROBLEMS, schema="DeepStackProblem"),
    },
}
LIVE: Operation = {
    "tags": ["operation"],
    "summary": "200 while the process answers at all",
    "responses": {200: answered("Alive", {"status": "alive"})},
}
READY: Operation = {
    "tags": ["operation"],
    "summary": "200 while any allowed side can serve",
    "responses": {
        200: answered("Ready", {"status": "ready", "lanes": _LANES}),
        **problems(503, schema="NotReady"),
    },
}
METRICS: Operation = {
    "tags": ["operation"],
    "summary": "Prometheus metrics of all workers",
    "response_class": PlainTextResponse,
    "responses": {200: {"description": "Text", "content": {"text/plain": {"schema": TEXT}}}},
}


def described(app: FastAPI) -> FastAPI:
    """Its document, made when it is first asked for, holds our schemas, the key, and the role each route asks for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, tags=app.openapi_tags, routes=app.routes
            )  # fmt: skip
            key = {"type": "apiKey", "in": "header", "name": HEADER}
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    operation["x-role"] = role_of(f"{method.upper()} {path}")
            document["components"] = {"schemas": dict(COMPONENTS), "securitySchemes": {"key": key}}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation tells to
    return app
