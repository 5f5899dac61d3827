"""What a ramp has shown so far, as one document or as one page."""

from __future__ import annotations

import asyncio
from functools import partial

from fastapi import Request, Response

from backend.api import answers
from backend.api.asked import choice, known_detector
from backend.api.auth import who
from backend.api.keys import Role
from backend.api.parts import parts_of
from backend.report.about import parity_of
from backend.report.page import page
from backend.report.report import Material, gather, report_of

# The page shows pictures of somebody's home, and words that came from outside.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def report(request: Request) -> Response:
    parts = parts_of(request)
    who(request, Role.VIEWER)
    form = choice(request, "format", ("json", "html"))
    asked = known_detector(request.query_params.get("detector"), parts.client.detectors)
    detector = asked or parts.settings.triton_model
    state = await parts.rollout.read()
    about = await asyncio.to_thread(parity_of, parts.settings.crossfade_var / "parity", detector)
    material = await parts.rollout.ask(partial(gather, detector=detector, state=state, about=about))
    if form == "html":
        text = await asyncio.to_thread(_page, material)
        return Response(text, headers=PAGE_HEADERS, media_type="text/html; charset=utf-8")
    document = await asyncio.to_thread(report_of, material)
    return answers.json_of(request, document, {"Cache-Control": "private, no-store"})


def _page(material: Material) -> str:
    return page(report_of(material), material.pictures)
