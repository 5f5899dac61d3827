"""One picture put to the backend, and what its answer means for the batch: a line, a refusal, or another try.

What is against the question itself, and not against a picture (a wrong key, an unknown detector), ends the batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from ai.core.sample import sample_jpeg
from backend.stack.backend_api import NotAnswered, media_type, reason_of, table
from backend.stack.errors import StackError

TIMEOUT_S = 60.0  # the backend's own deadline is shorter; a network that says nothing has none
KEEP_ALIVE_S = 3.0  # below uvicorn's 5 s, or a connection is closed under a question
MOST_RETRY_AFTER_S = 30.0

_OF_THE_PICTURE = {
    HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}  # fmt: skip
_MAY_PASS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}  # and all from 500
_FULL = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


@dataclass(frozen=True, slots=True)
class Answer:
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of this picture: it will not be another time."""

    status: int
    words: str


@dataclass(frozen=True, slots=True)
class Later:
    words: str
    status: int | None = None  # None: nobody was reached
    after_s: float | None = None

    @property
    def is_full(self) -> bool:
        """There was no place or no time: a sign that too much is asked."""
        return self.status in _FULL

    @property
    def is_turned_away(self) -> bool:
        """Nobody looked at the picture, so it says nothing of it."""
        return self.status in {
            None,
            HTTPStatus.BAD_GATEWAY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        }


Outcome = Answer | Refusal | Later


class Asking:
    def __init__(self, url: str, headers: Mapping[str, str], query: Mapping[str, str | float | None]) -> None:
        self.url = url
        self._query = {name: str(value) for name, value in query.items() if value is not None}
        self._http = httpx.AsyncClient(
            headers=dict(headers), trust_env=False, timeout=TIMEOUT_S,
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),  # who asks bounds how many there are
        )  # fmt: skip

    async def ask(self, picture: bytes) -> Outcome:
        """NotAnswered or StackError where no picture would be answered either."""
        outcome = await self._put(picture)
        return await self._doubted(outcome) if isinstance(outcome, Refusal) else outcome

    async def is_well(self) -> bool:
        """It answers a good picture of ours."""
        return isinstance(await self._put(sample_jpeg()), Answer)

    async def close(self) -> None:
        await self._http.aclose()

    async def _put(self, picture: bytes) -> Outcome:
        try:
            async with asyncio.timeout(TIMEOUT_S):  # httpx's own is for each read
                answer = await self._http.post(
                    f"{self.url}/api/detect",
                    params=self._query,
                    content=picture,
                    headers={"content-type": media_type(picture)},
                )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise StackError(f"{self.url} is no address of a backend ({error})") from error
        except (httpx.HTTPError, TimeoutError) as error:
            return Later(f"the backend at {self.url} cannot be reached ({error or type(error).__name__})")
        return _meaning(answer)

    async def _doubted(self, refusal: Refusal) -> Outcome:
        """What is said of a good picture of ours as well is not said of this one: a proxy, or a new configuration."""
        ours = await self._put(sample_jpeg())
        if isinstance(ours, Refusal):
            raise NotAnswered(ours.status, ours.words)
        return refusal if isinstance(ours, Answer) else ours


def _meaning(answer: httpx.Response) -> Outcome:
    status = answer.status_code
    if status == HTTPStatus.OK:
        return Answer(_document(answer))
    if status in _OF_THE_PICTURE:
        return Refusal(status, reason_of(answer))
    if status in _MAY_PASS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Later(reason_of(answer), status, _retry_after_s(answer))
    if answer.has_redirect_location:
        raise NotAnswered(status, f"{answer.url} has moved to {answer.headers['location']}: give --url")
    raise NotAnswered(status, reason_of(answer))


def _document(answer: httpx.Response) -> Mapping[str, Any]:
    """StackError of anything else that answers 200: a portal, another service."""
    try:
        document = table(answer)
    except RecursionError:
        document = {}
    if not isinstance(document.get("detections"), list):
        raise StackError(f"{answer.url} answers without detections; is it a Crossfade backend?")
    return document


def _retry_after_s(answer: httpx.Response) -> float | None:
    """None where it is not said, or said as a date."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), MOST_RETRY_AFTER_S) if text.isdecimal() else None
