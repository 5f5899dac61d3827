"""What a caller is answered, written without a model in between: tens of boxes in each of many answers a second."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from ai.core.detections import Detection
from backend.api.errors import answer_headers
from backend.services.request import Served

NO_HEADERS: Mapping[str, str] = {}


def json_of(
    request: Request, document: object, headers: Mapping[str, str] = NO_HEADERS, status: int = 200
) -> Response:
    return Response(
        json.dumps(document, separators=(",", ":")).encode(),
        status,
        {**answer_headers(request), **headers},
        media_type="application/json",
    )


def single(served: Served) -> dict[str, Any]:
    decision, found = served.decision, served.detections
    return {
        "detections": [_found(detection) for detection in found],
        "image": {"width": found.image_width, "height": found.image_height},
        "served_by": {
            "backend": served.backend,
            "detector": served.detector,
            "model_version": served.model_version,
            "reason": decision.reason,
            "fallback_reason": served.fallback_reason,
            "attempts": served.attempts,
            "bucket": decision.bucket,
            "flag_version": decision.version,
        },
        "timing_ms": {"total": _ms(served.total_s), "backend": _ms(served.backend_s)},
    }


def batch(results: list[dict[str, Any]], total_s: float) -> dict[str, Any]:
    return {"results": results, "num_images": len(results), "timing_ms": {"total": _ms(total_s)}}


def served_headers(served: Served) -> dict[str, str]:
    return {
        "X-Detector-Backend": served.backend,
        "Server-Timing": f"total;dur={_ms(served.total_s)}, backend;dur={_ms(served.backend_s)}",
    }


def _found(detection: Detection) -> dict[str, Any]:
    x1, y1, x2, y2, score, class_id, label = detection
    return {
        "class": label,
        "class_id": class_id,
        "confidence": score,
        "bbox": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
