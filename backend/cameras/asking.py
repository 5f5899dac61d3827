"""The backend, asked for one frame after the other by many cameras: an answer or a failure of a kind, no error."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Protocol

import httpx

from backend.cameras.answers import Answer, Failure
from backend.cameras.reading import outcome_of
from backend.stack.backend_api import BackendApi, media_type

PATIENCE_S = 15.0  # more than any deadline that a backend has
MAX_ANSWER_BYTES = 4 * 1024 * 1024  # 300 boxes have 45 KB


class Backend(Protocol):
    async def detect(self, picture: bytes, camera: str) -> Answer | Failure: ...


class HttpBackend:
    """`async with HttpBackend(BackendApi.of(settings)) as backend`."""

    def __init__(
        self, api: BackendApi, detector: str | None = None, min_confidence: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self._url = f"{api.url}/api/detect"
        self._headers = {**api.headers, "accept-encoding": "identity"}  # a little can unpack to very much
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
            answer, content = await self._ask(picture, camera)
        except TimeoutError:
            return Failure("late", _since(began), f"no answer within {self._patience_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Failure("away", _since(began), f"{type(error).__name__}: {error}")
        return outcome_of(answer.status_code, answer.headers, content, _since(began))

    async def _ask(self, picture: bytes, camera: str) -> tuple[httpx.Response, bytes]:
        """An answer without end is broken off: what there is of it is no JSON."""
        headers = {**self._headers, "content-type": media_type(picture)}
        params = {**self._asked, "camera": camera}
        content = bytearray()
        async with (
            asyncio.timeout(self._patience_s),
            self._http.stream("POST", self._url, params=params, content=picture, headers=headers) as answer,
        ):
            async for part in answer.aiter_raw():
                content += part
                if len(content) > MAX_ANSWER_BYTES:
                    break
        return answer, bytes(content)


def _since(began: float) -> float:
    return time.perf_counter() - began
