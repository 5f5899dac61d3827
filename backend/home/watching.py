"""A backend, looked at over its API. A look never raises: that nobody answers is what it is there to tell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import httpx

from backend.home.look import Look, counts_of, edges_of, flags_of, sides_of
from backend.stack.backend_api import BackendApi

LOOK_TIMEOUT_S = 3.0
LARGEST_BYTES = 4 * 2**20  # of an answer; the longest of ours has some 10 KB
READY, TRAFFIC, ROLLOUT = "/health/ready", "/api/traffic", "/api/rollout"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_STRANGE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)

Adding = Callable[[Look, Any], Look]


class Watching:
    def __init__(
        self, api: BackendApi, clock: Callable[[], float] = time.monotonic, patience_s: float = LOOK_TIMEOUT_S
    ) -> None:
        self._api = api
        self._name = _without_password(api.url)
        self._patience_s = patience_s
        self._clock = clock
        # A connection for each question: of several workers, not always the same one is asked.
        self._http = httpx.Client(
            trust_env=False, timeout=patience_s, limits=httpx.Limits(max_keepalive_connections=0)
        )

    def look(self) -> Look:
        at_s = self._clock()
        try:
            return self._looked(at_s)
        except httpx.HTTPStatusError as error:
            words = f"{self._name}{READY} answers {error.response.status_code}"
            return Look(at_s, away=f"{words}; is it a Crossfade backend?")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Look(at_s, away=f"the backend at {self._name} cannot be reached ({_words(error)})")
        except _STRANGE:
            return Look(at_s, away=f"{self._name}{READY} does not answer as a Crossfade backend does")

    def _looked(self, at_s: float) -> Look:
        look = Look(at_s, sides=sides_of(self._asked(READY, HTTPStatus.SERVICE_UNAVAILABLE)["lanes"]))
        return self._with(ROLLOUT, _flags, self._with(TRAFFIC, _counts, look))

    def _with(self, path: str, added: Adding, look: Look) -> Look:
        """What is told at one path is told, whatever is amiss at the others."""
        try:
            return added(look, self._asked(path))
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            words = f"the figures cannot be read: {path} answers {status}"
            if status in _REFUSED:
                return replace(look, missing=f"{words}; a viewer's key is needed", denied=status)
            return replace(look, missing=words)
        except httpx.HTTPError as error:
            return replace(
                look, missing=f"the figures cannot be read: {path} does not answer ({_words(error)})"
            )
        except _STRANGE:
            return replace(look, missing=f"{path} tells its figures in words that are not known")

    def _asked(self, path: str, *also: HTTPStatus) -> Any:
        until = self._clock() + self._patience_s
        with self._http.stream("GET", self._api.url + path, headers=self._api.headers) as answer:
            if answer.status_code not in also:
                answer.raise_for_status()
            return json.loads(self._whole(answer, until))

    def _whole(self, answer: httpx.Response, until: float) -> bytes:
        """httpx's time is that of a single read: one byte a second would be waited for without end."""
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if self._clock() > until:
                raise httpx.ReadTimeout("its answer took too long")
            if len(body) > LARGEST_BYTES:
                raise httpx.DecodingError("its answer has no end")
        return bytes(body)


def _counts(look: Look, told: Any) -> Look:
    return replace(look, counts=counts_of(told), edges_s=edges_of(told))


def _flags(look: Look, told: Any) -> Look:
    return replace(look, flags=flags_of(told))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _without_password(url: str) -> str:
    """What is wrong is published, for all to read."""
    scheme, colon, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{colon}{host.rpartition('@')[2]}{slash}{path}"
