"""What a service answers, as the documents of its contract, and where an image's time went."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ai.core.detections import Detection
from ai.serving.runtime import Answer, Timing


def single(answer: Answer) -> dict[str, Any]:
    return {**picture(answer), "inference_time_ms": answer.timing.inference}


def picture(answer: Answer) -> dict[str, Any]:
    return {
        "detections": [_found(detection) for detection in answer.detections],
        "image_width": answer.detections.image_width,
        "image_height": answer.detections.image_height,
    }


def _found(detection: Detection) -> dict[str, Any]:
    return {
        "class": detection.label,
        "class_id": detection.class_id,
        "confidence": detection.score,
        "bbox": {"x": detection.x1, "y": detection.y1, "width": detection.width, "height": detection.height},
    }


def server_timing(timing: Timing) -> str:
    """The header that browsers and our benchmark read: `decode;dur=1.2, …`."""
    return ", ".join(f"{stage};dur={ms:.3f}" for stage, ms in asdict(timing).items())
