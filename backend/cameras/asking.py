"""The backend, asked for one frame after the other by many cameras: an answer or a failure of a kind, no error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

import httpx

from backend.cameras.answers import Answer, Failure, FailureKind
from backend.stack.backend_api import BackendApi, media_type

PATIENCE_S = 15.0  # more than any deadline that a backend has


class Backend(Protocol):
    async def detect(self, picture: bytes, camera: str) -> Answer | Failure: ...


class HttpBackend:
    """`async with HttpBackend(BackendApi.of(settings)) as backend`."""

    def __init__(
        self, api: BackendApi, detector: str | None = None, min_confidence: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self._url = f"{api.url}/api/detect"
        self._headers = api.headers
        self._asked = {
            name: str(value)
            for name, value in (("detector", detector), ("min_confidence", min_confidence))
            if value is not None
        }
        self._patience_s = patience_s
        # Nobody waits for a connection: each camera has one request under way at most.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._http = httpx.AsyncClient(trust_env=False, timeout=None, limits=limits)  # noqa: S113 - `_ask` cuts it

    async def __aenter__(self) -> HttpBackend:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def detect(self, picture: bytes, camera: str) -> Answer | Failure:
        began = time.perf_counter()
        try:
            answer = await self._ask(picture, camera)
        except TimeoutError:
            return Failure("late", _since(began), f"no answer within {self._patience_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Failure("away", _since(began), f"{type(error).__name__}: {error}")
        took_s = _since(began)
        if answer.status_code != httpx.codes.OK:
            return _failure(answer, took_s)
        return _answer(answer, took_s)

    async def _ask(self, picture: bytes, camera: str) -> httpx.Response:
        headers = {**self._headers, "content-type": media_type(picture)}
        params = {**self._asked, "camera": camera}
        async with asyncio.timeout(self._patience_s):
            return await self._http.post(self._url, params=params, content=picture, headers=headers)


def _answer(answer: httpx.Response, took_s: float) -> Answer | Failure:
    try:
        told = answer.json()
        size, found, served_by = told["image"], told["detections"], told["served_by"]
        one = Answer(took_s, int(size["width"]), int(size["height"]), found, served_by)
        one.side, one.labels, [box_of(detection) for detection in found]
    except (ValueError, KeyError, TypeError):
        return Failure("odd", took_s, "an answer that is not Crossfade's", answer.status_code)
    return one


def box_of(detection: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2"""
    box = detection["bbox"]
    x, y = float(box["x"]), float(box["y"])
    return x, y, x + float(box["width"]), y + float(box["height"])


def _failure(answer: httpx.Response, took_s: float) -> Failure:
    return Failure(
        _kind(answer.status_code), took_s, _reason(answer), answer.status_code, _retry_after_s(answer)
    )


def _kind(status: int) -> FailureKind:
    if status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
        return "busy"
    if status == httpx.codes.GATEWAY_TIMEOUT:
        return "late"
    return "refused" if httpx.codes.is_client_error(status) else "odd"


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _retry_after_s(answer: httpx.Response) -> float | None:
    """In seconds, as our backend says it; a date is nobody's business here."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _since(began: float) -> float:
    return time.perf_counter() - began
