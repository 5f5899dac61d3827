"""Whose key came with a request: in the header `X-API-Key`, and nowhere else but in DeepStack's form."""

from __future__ import annotations

from fastapi import Request

from backend.api.keys import HEADER, Key, Role
from backend.api.parts import parts_of


def key_of(request: Request, role: Role) -> Key:
    """A Problem where there is none, or it may not do this."""
    return parts_of(request).keys.require(role, request.headers.get(HEADER))


def who(request: Request, role: Role) -> str:
    """The name of that key."""
    return key_of(request, role).name


def require_caller(request: Request) -> None:
    parts_of(request).keys.require_caller(request.headers.get(HEADER))
