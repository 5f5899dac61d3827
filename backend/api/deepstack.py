"""DeepStack's detection, as Frigate's detector plugin and Home Assistant's integrations ask for it.

Frigate reads `predictions` from the top, stops at the first confidence below 0.4 or label that it does not know, and
fails on a twenty-first. It looks at no status: an error has no predictions, and so is an empty scene to it. See
docs/frigate.md.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request, Response

from ai.core.detections import Detection, Detections
from ai.core.labels import COCO_80
from backend.api import answers
from backend.api.counting import counted
from backend.api.errors import DEEPSTACK_PATH as PATH
from backend.api.job import job
from backend.api.keys import HEADER
from backend.api.upload import checked
from backend.services.request import Served

__all__ = ["MAX_PREDICTIONS", "PATH", "detection"]

MAX_PREDICTIONS: Final = 20
KNOWN_LABELS: Final = frozenset(
    COCO_80
)  # Frigate's own label map: "truck", which it lacks, it reads as a car


@counted
async def detection(request: Request) -> Response:
    with job(request) as one:
        image = await one.intake.image("image")
        fields = one.intake.texts
        # DeepStack's own way to send a key is a field of the form.
        one.parts.keys.require_caller(request.headers.get(HEADER) or fields.get("api_key") or None)
        asked = one.asked.with_confidence(fields.get("min_confidence"))
        picture = await checked(image, one.parts.image_limits)
        served = await one.serve(picture, asked, one.parts.settings.deepstack_deadline_s)
    return answers.json_of(request, document(served), answers.served_headers(served))


def document(served: Served) -> dict[str, Any]:
    return {
        "success": True,
        "predictions": predictions(served.detections),
        "duration": round(served.total_s * 1000),
    }


def predictions(found: Detections) -> list[dict[str, Any]]:
    """The most certain first; what Frigate would stop at comes last."""
    in_order = sorted(found, key=lambda one: (one.label not in KNOWN_LABELS, -one.score))
    return [_prediction(one, found) for one in in_order[:MAX_PREDICTIONS]]


def _prediction(one: Detection, found: Detections) -> dict[str, Any]:
    return {
        "label": one.label,
        "confidence": one.score,
        "x_min": _pixel(one.x1, found.image_width),
        "y_min": _pixel(one.y1, found.image_height),
        "x_max": _pixel(one.x2, found.image_width),
        "y_max": _pixel(one.y2, found.image_height),
    }


def _pixel(value: float, most: int) -> int:
    return min(max(round(value), 0), most)
