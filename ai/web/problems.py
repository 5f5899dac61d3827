"""What a caller is told when there is no answer: a status and a sentence, as RFC 9457 problem+json."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ai.core.errors import (
    CorruptImage,
    ImageTooLarge,
    InvalidDetections,
    InvalidImage,
    NotAnImage,
    UnsupportedImage,
)

CALLER_GONE = 499  # nobody reads it; nginx's number for the same, so that metrics can tell it apart

MAX_PATH_CHARS = 200  # of a caller's path, in the sentence that says it is none of ours

_STATUS_OF: dict[type[InvalidImage], int] = {
    NotAnImage: 400,
    CorruptImage: 400,
    ImageTooLarge: 413,
    UnsupportedImage: 415,
}


class Problem(Exception):
    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: InvalidImage) -> Problem:
        return cls(_STATUS_OF.get(type(error), 400), str(error))

    @property
    def document(self) -> dict[str, object]:
        return {
            "type": "about:blank",
            "title": _title(self.status),
            "status": self.status,
            "detail": self.detail,
        }


class CallerGone(Problem):
    def __init__(self) -> None:
        super().__init__(CALLER_GONE, "the caller hung up before the answer")


class Busy(Problem):
    def __init__(self, detail: str) -> None:
        super().__init__(503, detail, {"Retry-After": "1"})


class Late(Problem):
    def __init__(self) -> None:
        super().__init__(504, "the caller's deadline (X-Deadline-Ms) passed before there was an answer")


class ModelFault(Problem):
    def __init__(self, error: InvalidDetections) -> None:
        super().__init__(500, f"the model's answer cannot be true: {error}")


async def answer_problem(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(request, error)
    return JSONResponse(
        problem.document, problem.status, problem.headers, media_type="application/problem+json"
    )


def problem_of(request: Request, error: Exception) -> Problem:
    if isinstance(error, HTTPException):  # no such path, no such method
        path = request.scope["path"][:MAX_PATH_CHARS]  # request.url fails on a bad Host
        return Problem(error.status_code, f"{request.method} {path}: {error.detail}", error.headers)
    return error if isinstance(error, Problem) else Problem(500, "the service failed; its log says how")


def _title(status: int) -> str:
    return "Caller gone" if status == CALLER_GONE else HTTPStatus(status).phrase
