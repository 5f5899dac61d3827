"""A backend, looked at over its API. A look never raises: that nobody answers is what it is there to tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from backend.home.look import Look, SideState, counts_of, edges_of, flags_of, sides_of
from backend.sides import Side
from backend.stack.backend_api import BackendApi
from backend.stack.health import client

LOOK_TIMEOUT_S = 3.0
READY, TRAFFIC, ROLLOUT = "/health/ready", "/api/traffic", "/api/rollout"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_STRANGE = (ValueError, KeyError, TypeError, AttributeError)


class Watching:
    def __init__(
        self, api: BackendApi, clock: Callable[[], float] = time.monotonic, patience_s: float = LOOK_TIMEOUT_S
    ) -> None:
        self._api = api
        self._patience_s = patience_s
        self._clock = clock

    def look(self) -> Look:
        """A connection of its own each time: of several workers, not always the same one is asked."""
        at_s = self._clock()
        try:
            with client(self._patience_s) as http:
                return self._looked(http, at_s)
        except httpx.HTTPStatusError as error:
            words = f"{self._api.url}{READY} answers {error.response.status_code}"
            return Look(at_s, away=f"{words}; is it a Crossfade backend?")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            return Look(at_s, away=f"the backend at {self._api.url} cannot be reached ({why})")
        except _STRANGE:
            return Look(at_s, away=f"{self._api.url}{READY} does not answer as a Crossfade backend does")

    def _looked(self, http: httpx.Client, at_s: float) -> Look:
        sides = sides_of(self._asked(http, READY, HTTPStatus.SERVICE_UNAVAILABLE)["lanes"])
        try:
            traffic, rollout = self._asked(http, TRAFFIC), self._asked(http, ROLLOUT)
            counts, flags = counts_of(traffic), flags_of(rollout)
            return Look(at_s, sides=sides, counts=counts, edges_s=edges_of(traffic), flags=flags)
        except httpx.HTTPStatusError as error:
            return _without_figures(at_s, sides, error.response)
        except _STRANGE:
            return Look(
                at_s, sides=sides, missing="the backend tells its figures in words that are not known"
            )

    def _asked(self, http: httpx.Client, path: str, *also: HTTPStatus) -> Any:
        answer = http.get(self._api.url + path, headers=self._api.headers)
        if answer.status_code not in also:
            answer.raise_for_status()
        return answer.json()


def _without_figures(
    at_s: float, sides: Mapping[str, Mapping[Side, SideState]], answer: httpx.Response
) -> Look:
    words = f"the figures cannot be read: {answer.request.url.path} answers {answer.status_code}"
    if answer.status_code not in _REFUSED:
        return Look(at_s, sides=sides, missing=words)
    return Look(at_s, sides=sides, missing=f"{words}; a viewer's key is needed", denied=answer.status_code)
