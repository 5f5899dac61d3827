"""What /docs says of each endpoint. Bodies and queries are read by hand, so they are described by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse

from backend.api.auth import HEADER
from backend.api.schemas import BINARY, COMPONENTS, FLAGS, NAME, SHARE, SIDE, TEXT, listed, ref, table
from backend.settings import DETECTORS

TITLE = "Crossfade"
SUMMARY = (
    "Object detection by two sides, legacy and Triton: pictures in, boxes out, and who found them and why."
)
TAGS = [
    {"name": "detection", "description": "JPEG, PNG or WebP in; boxes in pixels of the upright picture out"},
    {"name": "rollout", "description": "How much of the traffic Triton serves"},
    {"name": "operation", "description": "For whoever runs it"},
]

Operation = dict[str, Any]
Example = dict[str, Any]

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
_FLAGS: Example = {
    "enabled": True, "fraction": 0.1, "shadow": 0.1, "overrides": {"yolo26": 0.5},
    "pins": {"front door": "legacy"}, "pins_suspended": False,
}  # fmt: skip
_ROLLOUT: Example = {
    "version": 12, **_FLAGS, "kill_switch": False, "stale": False, "effective": {"rtdetr": 0.1, "yolo26": 0.5},
    "workers": [{"worker": "nvr-4711", "version": 12, "at": 1795248000.2}],
}  # fmt: skip
_LANES: list[Example] = [
    {"detector": "rtdetr", "backend": "legacy", "allowed": True, "breaker": "closed", "heard": True, "in_flight": 2},
    {"detector": "rtdetr", "backend": "triton", "allowed": True, "breaker": "open", "heard": True, "in_flight": 0},
]  # fmt: skip


def _problem_example(status: int, title: str, detail: str) -> Example:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


_RESULTS: list[Example] = [
    {"index": 0, "filename": "drive.jpg", **_ANSWER},
    {"index": 1, "filename": "broken.jpg",
     "error": _problem_example(400, "Bad Request", "The JPEG's header is cut short.")},
]  # fmt: skip

_WHY: Mapping[int, str] = {
    400: "Not an image, a broken one, or a body that cannot be read",
    401: f"A key is needed ({HEADER}), or the one sent is not known",
    403: "The key's role does not allow this",
    408: "The body did not arrive in time",
    409: "Not possible as things stand",
    412: "Changed meanwhile; the current version is in ETag",
    413: "Over 10 MiB or 25 megapixels",
    414: "The query is too long",
    415: "A type other than JPEG, PNG and WebP",
    422: "A value that is not allowed, or a picture that every side refuses",
    428: "If-Match is missing",
    503: "No side can serve, or too much is asked; see Retry-After",
    504: "The deadline passed before there was an answer",
}
_DETECTION_PROBLEMS = (400, 401, 403, 408, 409, 413, 414, 415, 422, 503, 504)


def _json(schema: str, example: Example, description: str = "Answered") -> Operation:
    return {
        "description": description,
        "content": {"application/json": {"schema": ref(schema), "example": example}},
    }


def _problems(*statuses: int, schema: str = "Problem") -> dict[int | str, Operation]:
    content = {"application/problem+json": {"schema": ref(schema)}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}


def _parameter(where: str, name: str, schema: dict[str, Any], description: str) -> Operation:
    return {"name": name, "in": where, "required": False, "schema": schema, "description": description}


_DETECTOR = _parameter(
    "query", "detector", {"type": "string", "enum": list(DETECTORS)}, "Which detector; none: TRITON_MODEL"
)
_CAMERA = _parameter("query", "camera", NAME, "Whose picture it is: pins, quotas and fair shares go by it")
_CONFIDENCE = _parameter("query", "min_confidence", SHARE, "The least confidence, for every class")
_BACKEND = _parameter(
    "query", "backend", SIDE, "For a diagnosis by an admin: this side, and no other after it"
)
_DEADLINE = _parameter(
    "header", "X-Deadline-Ms", {"type": "number", "minimum": 0, "maximum": 3_600_000},
    "Milliseconds that the caller still waits",
)  # fmt: skip
_REQUEST_ID = _parameter(
    "header", "X-Request-ID", {"type": "string", "maxLength": 128}, "Comes back as X-Client-Request-ID"
)
_DETECT_PARAMETERS = [_DETECTOR, _CAMERA, _CONFIDENCE, _BACKEND, _DEADLINE, _REQUEST_ID]
_IF_MATCH = {
    "name": "If-Match", "in": "header", "required": True, "schema": TEXT, "example": '"v12"',
    "description": "The ETag that GET answered, or *",
}  # fmt: skip
_LIMIT = _parameter(
    "query", "limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "How many"
)

_KEY: list[dict[str, list[str]]] = [{"key": []}]
_KEY_OR_NONE: list[dict[str, list[str]]] = [{}, {"key": []}]
_BASE64 = table({"image_base64": TEXT})


def _takes(
    content: Operation | None, parameters: list[Operation], security: list[dict[str, list[str]]], *, must: bool = True
) -> Operation:  # fmt: skip
    body = {"requestBody": {"required": must, "content": content}} if content is not None else {}
    return {**body, "parameters": parameters, "security": security}


DETECT: Operation = {
    "tags": ["detection"],
    "summary": "Detect objects in one picture",
    "openapi_extra": _takes(
        {
            "multipart/form-data": {
                "schema": table({"file": BINARY, "image_base64": TEXT}, ("file", "image_base64"))
            },
            "application/json": {"schema": _BASE64},
            "application/x-www-form-urlencoded": {"schema": _BASE64},
            "image/*": {"schema": BINARY},
        },
        _DETECT_PARAMETERS,
        _KEY_OR_NONE,
    ),
    "responses": {200: _json("Answer", _ANSWER), **_problems(*_DETECTION_PROBLEMS)},
}
DETECT_BATCH: Operation = {
    "tags": ["detection"],
    "summary": "Detect objects in several pictures; a bad one is an error at its index",
    "openapi_extra": _takes(
        {"multipart/form-data": {"schema": table({"files": {**listed(BINARY), "minItems": 1}})}},
        _DETECT_PARAMETERS,
        _KEY_OR_NONE,
    ),
    "responses": {
        200: _json("BatchAnswer", {"results": _RESULTS, "num_images": 2, "timing_ms": {"total": 97.5}}),
        **_problems(*_DETECTION_PROBLEMS),
    },
}
DEEPSTACK: Operation = {
    "tags": ["detection"],
    "summary": "The same for software that speaks DeepStack's protocol, such as Frigate",
    "openapi_extra": _takes(
        {
            "multipart/form-data": {
                "schema": table(
                    {"image": BINARY, "min_confidence": SHARE, "api_key": TEXT}, ("min_confidence", "api_key")
                )
            }
        },
        _DETECT_PARAMETERS,
        _KEY_OR_NONE,
    ),
    "responses": {
        200: _json(
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
        **_problems(*_DETECTION_PROBLEMS, schema="DeepStackProblem"),
    },
}
ROLLOUT: Operation = {
    "tags": ["rollout"],
    "summary": "What was asked for, what this worker makes of it, and which workers know it",
    "openapi_extra": _takes(None, [], _KEY),
    "responses": {200: _json("Rollout", _ROLLOUT), **_problems(401, 403, 503)},
}
ROLLOUT_CHANGE: Operation = {
    "tags": ["rollout"],
    "summary": "Change some of the flags, of the version that was seen",
    "openapi_extra": _takes(
        {
            "application/json": {
                "schema": table({**FLAGS, "reason": TEXT}, (*FLAGS, "reason")),
                "example": {"fraction": 0.25, "reason": "a week without a fallback"},
            }
        },
        [_IF_MATCH],
        _KEY,
    ),
    "responses": {
        200: _json("Rollout", _ROLLOUT),
        **_problems(400, 401, 403, 408, 409, 412, 413, 422, 428, 503),
    },
}
ROLLBACK: Operation = {
    "tags": ["rollout"],
    "summary": "Everything to legacy, at once",
    "openapi_extra": _takes(
        {
            "application/json": {
                "schema": table({"reason": TEXT}, ("reason",)),
                "example": {"reason": "night shift"},
            }
        },
        [],
        _KEY,
        must=False,
    ),
    "responses": {
        200: _json("RolledBack", {**_ROLLOUT, "pending": []}, "Every live worker obeys it"),
        202: _json(
            "RolledBack", {**_ROLLOUT, "pending": ["nvr-4712"]}, "Done, and not yet confirmed by these"
        ),
        **_problems(400, 401, 403, 408, 409, 413, 422, 503),
    },
}
HISTORY: Operation = {
    "tags": ["rollout"],
    "summary": "Who changed what, when and why; newest first",
    "openapi_extra": _takes(None, [_LIMIT], _KEY),
    "responses": {
        200: _json(
            "History",
            {
                "changes": [
                    {"version": 12, "at": 1795248000.2, "who": "admin", "reason": "a week without a fallback",
                     "before": {"version": 11, "fraction": 0.1}, "after": {"version": 12, "fraction": 0.25}}
                ]
            },
        ),
        **_problems(401, 403, 422, 503),
    },
}  # fmt: skip
LIVE: Operation = {
    "tags": ["operation"],
    "summary": "200 while the process answers at all",
    "responses": {200: _json("Alive", {"status": "alive"})},
}
READY: Operation = {
    "tags": ["operation"],
    "summary": "200 while any allowed side can serve",
    "responses": {
        200: _json("Ready", {"status": "ready", "lanes": _LANES}),
        **_problems(503, schema="NotReady"),
    },
}
METRICS: Operation = {
    "tags": ["operation"],
    "summary": "Prometheus metrics of all workers",
    "response_class": PlainTextResponse,
    "responses": {200: {"description": "Text", "content": {"text/plain": {"schema": TEXT}}}},
}


def described(app: FastAPI) -> FastAPI:
    """Its document, made when it is first asked for, holds our schemas and the key."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, tags=app.openapi_tags, routes=app.routes
            )  # fmt: skip
            key = {"type": "apiKey", "in": "header", "name": HEADER}
            document["components"] = {"schemas": dict(COMPONENTS), "securitySchemes": {"key": key}}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation tells to
    return app
