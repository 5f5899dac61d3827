"""The backend, asked over its API, as the commands do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from ai.core.errors import InvalidImage
from ai.core.header import read_header
from backend.settings import Settings
from backend.stack.errors import StackError
from backend.stack.health import client
from backend.stack.plan import backend_url, is_local

ADMIN_KEY = "admin-key"
_TIMEOUT_S = 60.0


class NotAnswered(StackError):
    """A problem that the backend tells; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BackendApi:
    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self.headers = {"X-API-Key": key} if key else {}

    @classmethod
    def of(cls, settings: Settings, url: str | None = None, key: str | None = None) -> BackendApi:
        """This machine's key is for this machine's backend, and shown to no other."""
        url = url or backend_url(settings)
        return cls(url, key or (admin_key(settings) if is_local(url) else None))

    def detect(self, picture: bytes, **query: str | float | None) -> dict[str, Any]:
        asked = {name: str(value) for name, value in query.items() if value is not None}
        answer = self.ask("POST", "/api/detect", params=asked, content=picture,
                          headers={"content-type": media_type(picture)})  # fmt: skip
        return table(answer)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **what: Any
    ) -> httpx.Response:
        """Its answer below 400; NotAnswered with its own sentence otherwise."""
        try:
            with client(_TIMEOUT_S) as http:
                answer = http.request(
                    method, self.url + path, headers={**self.headers, **(headers or {})}, **what
                )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StackError(
                f"the backend at {self.url} cannot be reached ({error}); `crossfade up` starts it"
            ) from error
        if answer.status_code < httpx.codes.BAD_REQUEST:
            return answer
        raise NotAnswered(answer.status_code, _reason(answer))


def admin_key(settings: Settings) -> str | None:
    """The one that is configured; else the one that the backend made at its first start."""
    for entry in settings.api_keys.split(","):
        _, role, key = [*(word.strip() for word in entry.split(":", 2)), "", ""][:3]
        if role == "admin":
            return key
    try:
        return key_file(settings).read_text().strip() or None
    except OSError:
        return None


def key_file(settings: Settings) -> Path:
    return settings.crossfade_var / ADMIN_KEY


def media_type(picture: bytes) -> str:
    """By its first bytes, not by its name; what is no picture is the backend's to refuse."""
    try:
        return f"image/{read_header(picture).format}"
    except InvalidImage:
        return "application/octet-stream"


def table(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise StackError(f"{answer.url} answers no JSON table; is it a Crossfade backend?")
    return told


def _reason(answer: httpx.Response) -> str:
    try:
        told = answer.json()
        return str(told.get("detail") or told["title"])
    except (ValueError, KeyError, AttributeError):
        return f"{answer.url} answered {answer.status_code}: {answer.text[:200]}"
