"""Patches for `tests.chaos.undefended`: a backend that believes what the sides answer and what callers send.

As clients usually do: what cannot be read is an empty scene to it, and whatever can be read is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from fastapi import Request
from fastapi.responses import JSONResponse

from ai.core.detections import Detection, Detections
from ai.core.errors import InvalidModelOutput
from ai.triton.asking import answers
from ai.web import heads
from backend import serve
from backend.api import app, upload
from backend.transports import legacy
from backend.transports.legacy_answers import Reply, detections_of

SEEN_SCORE = 0.0  # what is over it counts as a box
ENDLESS_BYTES = 1 << 40


def believe_triton() -> None:
    def read(answer: Any, *_: object) -> Detections:
        try:
            rows = np.frombuffer(answer.outputs["detections"].data, "<f4").reshape(-1, 6)
            return _believed(rows[rows[:, 4] > SEEN_SCORE].tolist())
        except (KeyError, ValueError, OverflowError):
            return _believed([])

    answers.read = read  # type: ignore[assignment]


def _believed(rows: list[list[float]]) -> Detections:
    return Detections(tuple(Detection(*row[:5], int(row[5]), "dog") for row in rows), 640, 360)


def believe_legacy() -> None:
    def read(reply: Reply) -> Detections:
        try:
            return detections_of(reply)
        except InvalidModelOutput:
            return _believed([])

    legacy.detections_of = read  # type: ignore[attr-defined]


def take_all_that_legacy_sends() -> None:
    legacy.MAX_ANSWER_BYTES = ENDLESS_BYTES


def look_at_no_header() -> None:
    upload.read_header = lambda *_: None  # type: ignore[attr-defined]


def answer_faults() -> None:
    async def fault(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": repr(error)}, 500)

    app.answer_error = fault  # type: ignore[attr-defined]


def read_heads_without_end() -> None:
    heads.MAX_HEAD_BYTES = ENDLESS_BYTES


def hang_up_after_each_answer() -> None:
    serve.KEEP_ALIVE_S = 0


PATCHES: dict[str, Callable[[], None]] = {
    "the look at what Triton answers": believe_triton,
    "the look at what legacy answers": believe_legacy,
    "the bound of an answer": take_all_that_legacy_sends,
    "the look at a picture's header": look_at_no_header,
    "problems in place of faults": answer_faults,
    "the bounds of a head": read_heads_without_end,
    "a line that outlives a request": hang_up_after_each_answer,
}
