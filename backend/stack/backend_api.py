"""The backend, asked over its API, as the commands do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
_SILENCE_S = 25.0  # what is new is told with a sign of life every ten seconds


class NotAnswered(StackError):
    """A problem that the backend tells; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Away(StackError):
    """It cannot be reached, or the line was lost."""


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
        with self._reached(), client(_TIMEOUT_S) as http:
            answer = http.request(
                method, self.url + path, headers={**self.headers, **(headers or {})}, **what
            )
        if answer.status_code < httpx.codes.BAD_REQUEST:
            return answer
        raise NotAnswered(answer.status_code, reason_of(answer))

    def lines(self, path: str, kind: str, silence_s: float = _TIMEOUT_S, **what: Any) -> Iterator[str]:
        """Of an answer of this media type, which may be too long to be held, or have no end."""
        with (
            self._reached(),
            client(silence_s) as http,
            http.stream("GET", self.url + path, headers=self.headers, **what) as answer,
        ):
            if answer.status_code >= httpx.codes.BAD_REQUEST:
                answer.read()
                raise NotAnswered(answer.status_code, reason_of(answer))
            require_kind(answer, kind)
            yield from answer.iter_lines()

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Server-sent events, each a JSON table; Away when the line is lost, an end where the server ends it."""
        name, data = "message", ""
        for line in self.lines(path, "text/event-stream", _SILENCE_S):
            word, _, value = line.partition(": ")
            if word == "event":
                name = value
            elif word == "data":
                data = value
            elif not line and data:
                yield name, self._event(data)
                name, data = "message", ""

    def _event(self, data: str) -> Table:
        try:
            return _table(data)
        except ValueError:
            raise StackError(f"{self.url} tells no JSON table; is it a Crossfade backend?") from None

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Away(
                f"the backend at {self.url} cannot be reached ({error}); `crossfade up` starts it"
            ) from error


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


class Table(dict[str, Any]):
    """A table of the backend's, also inside another one; what it lacks is told in words, and is no fault of ours."""

    def __missing__(self, name: str) -> Any:
        raise StackError(f"the backend's answer has no {name!r}; is it a Crossfade backend of this version?")


def table(answer: httpx.Response) -> dict[str, Any]:
    try:
        return _table(answer.text)
    except ValueError:
        raise StackError(f"{answer.url} answers no JSON table; is it a Crossfade backend?") from None


def _table(text: str) -> Table:
    """ValueError for whatever else it is; NaN is no JSON, and would be none when we tell it."""
    told = json.loads(text, object_pairs_hook=Table, parse_constant=_no_number)
    if not isinstance(told, Table):
        raise ValueError
    return told


def _no_number(word: str) -> float:
    raise ValueError(word)


def require_kind(answer: httpx.Response, kind: str) -> None:
    """StackError where it is of another media type: somebody else answers there."""
    told = answer.headers.get("content-type", "nothing").partition(";")[0]
    if told != kind:
        raise StackError(f"{answer.url} answers {told}, not {kind}; is it a Crossfade backend?")


def reason_of(answer: httpx.Response) -> str:
    try:
        told = answer.json()
        return str(told.get("detail") or told["title"])
    except (ValueError, KeyError, AttributeError):
        return f"{answer.url} answered {answer.status_code}: {answer.text[:200]}"
