"""What /docs says of each endpoint. Bodies are read by hand (`intake.py`), so they are described by hand."""

from __future__ import annotations

from typing import Any

SUMMARY = "Objects in a picture: JPEG, PNG or WebP in, boxes in pixels of the upright picture out."

_BINARY = {"type": "string", "format": "binary"}
_BASE64 = {"type": "object", "required": ["image_base64"], "properties": {"image_base64": {"type": "string"}}}
_DETECTION = {
    "class": "person",
    "class_id": 0,
    "confidence": 0.93,
    "bbox": {"x": 212.4, "y": 88.1, "width": 61.0, "height": 143.9},
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not an image, a broken one, or a body that cannot be read"},
    408: {"description": "The body did not arrive in time"},
    413: {"description": "Over 10 MiB or 25 megapixels"},
    415: {"description": "A type other than JPEG, PNG and WebP"},
    422: {"description": "The image is not where it should be in the body"},
    503: {"description": "Not ready, or too many requests are waiting; see Retry-After"},
    504: {"description": "The caller's X-Deadline-Ms passed before the model was asked"},
}
_DEADLINE = {
    "name": "X-Deadline-Ms",
    "in": "header",
    "required": False,
    "schema": {"type": "number", "minimum": 0, "maximum": 3_600_000},
    "description": "Milliseconds that the caller still waits",
}


def _example(body: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Answered", "content": {"application/json": {"example": body}}}


def _operation(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}, "parameters": [_DEADLINE]}


def _form(properties: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"type": "object", "properties": properties}}


DETECT: dict[str, Any] = {
    "summary": "Detect objects in one picture",
    "openapi_extra": _operation(
        {
            "multipart/form-data": _form({"file": _BINARY, "image_base64": {"type": "string"}}),
            "application/json": {"schema": _BASE64},
            "application/x-www-form-urlencoded": {"schema": _BASE64},
            "image/*": {"schema": _BINARY},
        }
    ),
    "responses": {
        200: _example(
            {"detections": [_DETECTION], "inference_time_ms": 41.2, "image_width": 960, "image_height": 540}
        ),
        **_PROBLEMS,
    },
}
DETECT_BATCH: dict[str, Any] = {
    "summary": "Detect objects in several pictures; a bad one is an error at its index",
    "openapi_extra": _operation({"multipart/form-data": _form({"files": {"type": "array", "items": _BINARY}})}),
    "responses": {
        200: _example(
            {
                "results": [
                    {"index": 0, "filename": "drive.jpg", "image_width": 960, "image_height": 540,
                     "detections": [_DETECTION]},
                    {"index": 1, "filename": "broken.jpg", "error": {"status": 400, "detail": "the JPEG is cut short"}},
                ],
                "total_inference_time_ms": 97.5,
                "num_images": 2,
            }
        ),
        **_PROBLEMS,
    },
}  # fmt: skip
HEALTH: dict[str, Any] = {
    "summary": "200 once the model has answered a real inference, 503 before and if it cannot",
    "responses": {503: {"description": "Loading, or failed: `error` says how"}},
}
WARM_UP: dict[str, Any] = {"summary": "Run the model a few times now", "responses": {503: _PROBLEMS[503]}}
WARM_UP_STATUS: dict[str, Any] = {
    "summary": "How often the model was warmed up, and how long the last run took"
}
METRICS: dict[str, Any] = {"summary": "Prometheus metrics"}
