"""Bytes in, detections out, and who found them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from ai.core.errors import InvalidImage
from ai.core.header import ImageLimits
from ai.web.intake import Upload
from ai.web.problems import Problem
from backend.api import answers
from backend.api.auth import require_caller
from backend.api.counting import counted
from backend.api.errors import not_served
from backend.api.job import Job, job
from backend.api.upload import checked
from backend.services.errors import NotServed
from backend.services.request import Served


@counted
async def detect(request: Request) -> Response:
    require_caller(request)
    with job(request) as one:
        image = await checked(await one.intake.image(), one.parts.image_limits)
        served = await one.serve(image, one.asked, one.parts.settings.detect_deadline_s)
    return answers.json_of(request, answers.single(served), answers.served_headers(served))


@counted
async def detect_batch(request: Request) -> Response:
    """All images share the one deadline; one that is bad, or not served, is an error at its index."""
    require_caller(request)
    with job(request) as one:
        uploads = await one.intake.images()
        started = time.perf_counter()
        outcomes = await _outcomes(one, uploads)
    results = [
        {"index": index, "filename": upload.filename, **_result(outcome)}
        for index, (upload, outcome) in enumerate(zip(uploads, outcomes, strict=True))
    ]
    return answers.json_of(request, answers.batch(results, time.perf_counter() - started))


async def _outcomes(one: Job, uploads: Sequence[Upload]) -> list[Served | Problem]:
    pictures = [await _checked(upload, one.parts.image_limits) for upload in uploads]
    good = [picture for picture in pictures if not isinstance(picture, Problem)]
    served = iter(await one.serve_batch(good))
    return [picture if isinstance(picture, Problem) else _told(next(served)) for picture in pictures]


async def _checked(upload: Upload, limits: ImageLimits) -> bytes | Problem:
    try:
        return await checked(upload.image, limits)
    except InvalidImage as error:
        return Problem.of(error)


def _told(outcome: Served | NotServed) -> Served | Problem:
    return not_served(outcome) if isinstance(outcome, NotServed) else outcome


def _result(outcome: Served | Problem) -> dict[str, Any]:
    return {"error": outcome.document} if isinstance(outcome, Problem) else answers.single(outcome)
