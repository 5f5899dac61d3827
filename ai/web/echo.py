"""A service's answers name their question: whoever asks many over one connection can tell which is whose.

Not by X-Request-ID: proxies make that anew.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

QUESTION_HEADER = "crossfade-question"
MAX_NAME_BYTES = 128  # ours have 32, and a picture's number in a batch
_HEADER = QUESTION_HEADER.encode()


class QuestionEcho:
    """The header comes back on whatever is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = _named(scope) if scope["type"] == "http" else None
        if named is None:
            await self._app(scope, receive, send)
            return

        async def send_with_it(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (_HEADER, named)]}
            await send(message)

        await self._app(scope, receive, send_with_it)


def _named(scope: Scope) -> bytes | None:
    named: bytes | None = next((value for name, value in scope["headers"] if name == _HEADER), None)
    return named if named and len(named) <= MAX_NAME_BYTES else None
