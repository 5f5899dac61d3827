"""Whose key came with a request, and what there is to ask for: what a page must know before it shows anything."""

from __future__ import annotations

from fastapi import Request, Response

from backend.api import answers, console
from backend.api.auth import key_of
from backend.api.keys import Role
from backend.api.parts import parts_of

PRIVATE = {"Cache-Control": "private, no-store"}


async def me(request: Request) -> Response:
    parts = parts_of(request)
    key = key_of(request, Role.CALLER)
    document = {
        "name": key.name,
        "role": key.role.name.lower(),
        "detection_open": parts.keys.detection_is_open,
        "detectors": list(parts.client.detectors),
        "default_detector": parts.client.default_detector,
        "console": console.edition(request.app.state.console),
    }
    return answers.json_of(request, document, PRIVATE)
