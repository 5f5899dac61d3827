"""What the backend said of a frame, read with suspicion: it becomes an answer, or a failure of a kind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from backend.cameras.answers import Answer, Failure, FailureKind

MOST_DETECTIONS = 1000  # three times what a detector finds at most
MOST_REASON = 300  # characters

_Name = Annotated[str, Field(max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Box(_Strict):
    x: float
    y: float
    width: NonNegativeFloat
    height: NonNegativeFloat


class _Detection(_Strict):
    label: _Name = Field(alias="class")
    class_id: int = Field(ge=0, lt=2**31)
    confidence: float
    bbox: _Box


class _Image(_Strict):
    width: int = Field(ge=1, lt=2**31)
    height: int = Field(ge=1, lt=2**31)


class _ServedBy(_Strict):
    backend: _Name


class _Document(_Strict):
    """As much of an answer as somebody here relies on."""

    image: _Image
    detections: list[_Detection] = Field(max_length=MOST_DETECTIONS)
    served_by: _ServedBy


def outcome_of(status: int, headers: Mapping[str, str], content: bytes, took_s: float) -> Answer | Failure:
    if status == httpx.codes.OK:
        return _answer(content, took_s)
    return Failure(
        _kind(status), took_s, _reason(status, content), status, _seconds(headers.get("retry-after", ""))
    )


def _answer(content: bytes, took_s: float) -> Answer | Failure:
    try:
        told = _json(content)
        _Document.model_validate(told)
    except ValueError:
        return Failure("odd", took_s, "an answer that is not Crossfade's", httpx.codes.OK)
    size = told["image"]
    return Answer(took_s, size["width"], size["height"], told["detections"], told["served_by"])


def _kind(status: int) -> FailureKind:
    if status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
        return "busy"
    if status == httpx.codes.GATEWAY_TIMEOUT:
        return "late"
    return "refused" if httpx.codes.is_client_error(status) else "odd"


def _reason(status: int, content: bytes) -> str:
    try:
        return str(_json(content)["detail"])[:MOST_REASON]
    except (ValueError, KeyError, TypeError):
        return f"status {status}"


def _seconds(retry_after: str) -> float | None:
    """As our backend says it; a date is nobody's business here."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


def _json(content: bytes) -> Any:
    """Numbers are finite, so that what is told on is JSON again; ValueError for whatever else is wrong."""
    try:
        return json.loads(content, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number")
    return value
