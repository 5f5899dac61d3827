"""Requests for detections that end outside the client, which tells of all that it is asked: told of here.

There was no room for the body, or the API has failed, before a side was chosen or with the answer in its hands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Final

from fastapi import Request, Response

from ai.web.problems import Busy
from backend.api.errors import as_problem
from backend.api.parts import parts_of
from backend.observe.events import TurnedAway

Endpoint = Callable[[Request], Awaitable[Response]]

FAULT: Final = 500


def counted(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            if not getattr(request.state, "is_the_clients", False):
                _tell(request, error)
            raise

    return answer


@contextmanager
def told_by_the_client(request: Request) -> Iterator[None]:
    """What is raised in here it has counted."""
    request.state.is_the_clients = True
    yield
    request.state.is_the_clients = False


def _tell(request: Request, error: Exception) -> None:
    if isinstance(error, Busy):
        parts_of(request).observe(TurnedAway(_detector(request), "busy"))
    elif as_problem(request, error).status == FAULT:
        parts_of(request).observe(TurnedAway(_detector(request), "failed"))


def _detector(request: Request) -> str:
    """The default where it asks for none of ours."""
    client, asked = parts_of(request).client, request.query_params.get("detector")
    return asked if asked in client.detectors else client.default_detector
