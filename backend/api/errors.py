"""Every error as RFC 9457 problem+json, and under which status."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from ai.core.errors import InvalidImage
from ai.web.problems import Problem, problem_of
from backend.rollout.owed import RolledBackHere
from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import LostUpdate, NotPossible, StoreAway
from backend.services.errors import AllRefused, NoSide, NotServed, SideOff, TooBusy, TooLate, UnknownDetector

DEEPSTACK_PATH = "/v1/vision/detection"
MAX_DETAIL_CHARS = 1000  # a sentence may quote what the caller sent

_STATUS_OF: Mapping[type[NotServed], int] = {
    UnknownDetector: 422,
    AllRefused: 422,
    SideOff: 409,
    TooBusy: 503,
    NoSide: 503,
    TooLate: 504,
}
_NOTHING: Mapping[str, Any] = {}


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    return problem_answer(request, as_problem(request, error), more_of(error))


def more_of(error: Exception) -> Mapping[str, Any]:
    """What a program must know of a problem, beside the sentence for a person."""
    return {"rolled_back_here": True} if isinstance(error, RolledBackHere) else _NOTHING


def problem_answer(request: Request, problem: Problem, more: Mapping[str, Any] = _NOTHING) -> JSONResponse:
    # Half a sign, as JSON can carry it, has no bytes of its own.
    detail = problem.detail.encode("utf-8", "backslashreplace").decode()[:MAX_DETAIL_CHARS]
    document = {**problem.document, "detail": detail, **more}
    if request.scope["path"] == DEEPSTACK_PATH:
        document |= {"success": False, "error": detail}
    headers = {**answer_headers(request), **problem.headers}
    return JSONResponse(document, problem.status, headers, media_type="application/problem+json")


def as_problem(request: Request, error: Exception) -> Problem:
    for kind, made in _PROBLEM_OF.items():
        if isinstance(error, kind):
            return made(error)
    problem = problem_of(request, error)
    return Problem(405, problem.detail, _allowed(request)) if problem.status == 405 else problem


def not_served(error: NotServed) -> Problem:
    return Problem(_STATUS_OF.get(type(error), 503), str(error), _retry_after(error.retry_after_s))


def etag(state: RolloutState) -> str:
    return f'"v{state.version}"'


def answer_headers(request: Request) -> dict[str, str]:
    """What every answer to this request carries, an error too; set by the routes that have such headers."""
    headers: dict[str, str] = request.scope.get("state", {}).get("answer_headers", {})
    return headers


def _allowed(request: Request) -> dict[str, str]:
    """Of every route with this path; starlette names those of the first one only."""
    path = request.scope["path"]
    routes = (route for route in request.app.routes if isinstance(route, Route) and route.path == path)
    return {"Allow": ", ".join(sorted({method for route in routes for method in route.methods or ()}))}


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}


def _lost_update(error: LostUpdate) -> Problem:
    current = etag(error.current)
    return Problem(412, f"{error} The current ETag is {current}.", {"ETag": current})


_PROBLEM_OF: Mapping[type[Exception], Callable[[Any], Problem]] = {
    NotServed: not_served,
    InvalidImage: Problem.of,
    InvalidState: lambda error: Problem(422, str(error)),
    LostUpdate: _lost_update,
    NotPossible: lambda error: Problem(409, str(error)),
    StoreAway: lambda error: Problem(503, str(error), {"Retry-After": "1"}),
}
# What is none of these goes through starlette's outermost layer: the server logs it with its traceback.
ANSWERED: tuple[type[Exception], ...] = (*_PROBLEM_OF, Problem, HTTPException, Exception)
