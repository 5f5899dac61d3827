"""Everything that a page does beside what it shows: what it complains of, and whom it asks for what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request

THE_MACHINES_OWN = (
    "ERR_NETWORK_CHANGED"  # Chromium breaks every connection off when some interface comes or goes
)


@dataclass
class Watch:
    """`expected` are patterns of complaints that a test provokes on purpose."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: [THE_MACHINES_OWN])
    requests: list[Request] = field(default_factory=list)
    ended: list[Request] = field(default_factory=list)

    def on(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("request", self._request)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    def expect(self, *patterns: str) -> None:
        self.expected += patterns

    @property
    def unexpected(self) -> list[str]:
        return [one for one in self.complaints if not any(re.search(known, one) for known in self.expected)]

    @property
    def strangers(self) -> list[str]:
        """Requests to anybody but the backend."""
        return [
            one.url for one in self.requests
            if f"{(parts := urlsplit(one.url)).scheme}://{parts.netloc}" != self.origin and parts.scheme != "blob"
        ]  # fmt: skip

    def paths(self, method: str = "") -> list[str]:
        return [urlsplit(one.url).path for one in self.requests if method in ("", one.method)]

    def open_ones(self, path: str) -> int:
        """Requests for this path that have not come to their end."""
        return sum(1 for one in self.requests if urlsplit(one.url).path == path and one not in self.ended)

    def _request(self, request: Request) -> None:
        self.requests.append(request)

    def _ended(self, request: Request) -> None:
        self.ended.append(request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")
