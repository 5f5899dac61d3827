"""Whether the backend lives, whether it can serve, and what it counted."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from fastapi import Request, Response

from ai.web.problems import Problem
from backend.api import answers
from backend.api.errors import problem_answer
from backend.api.parts import parts_of


async def live(request: Request) -> Response:
    return answers.json_of(request, {"status": "alive"})


async def ready(request: Request) -> Response:
    """By real answers of the sides, never by what they say of themselves."""
    client = parts_of(request).client
    lanes = [asdict(lane) for lane in client.sides()]
    if client.can_serve():
        return answers.json_of(request, {"status": "ready", "lanes": lanes})
    problem = Problem(503, "no side that may be asked can serve at the moment", {"Retry-After": "1"})
    return problem_answer(request, problem, {"lanes": lanes})


async def metrics(request: Request) -> Response:
    ours = parts_of(request).metrics
    text = await asyncio.to_thread(ours.render)  # of several workers, it reads a file for each
    return Response(text, headers={"Content-Type": ours.content_type})
