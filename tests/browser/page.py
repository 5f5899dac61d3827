"""The console as somebody who uses it names its parts: by what they are called, never by where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import PATIENCE_MS
from tests.browser.watch import Watch

ALL = "Share of Triton, all detectors"
LATE_MS = 30_000


@dataclass(frozen=True)
class Console:
    url: str
    page: Page
    watch: Watch

    def open(self, key: str | None) -> Console:
        """By the link that carries the key; returns when the page is live."""
        self.visit(key)
        expect(self.line).to_have_text("live", timeout=LATE_MS)
        expect(self.master).to_have_attribute("aria-valuetext", re.compile("asked for"))
        return self

    def visit(self, key: str | None) -> None:
        self.page.goto(self.url + ("/" if key is None else f"/#key={quote(key, safe='')}"))

    # --- its parts -------------------------------------------------------------------------------------------

    @property
    def line(self) -> Locator:
        return self.page.locator("#line-words")

    @property
    def master(self) -> Locator:
        return self.fader(ALL)

    def fader(self, name: str) -> Locator:
        return self.page.get_by_role("slider", name=name, exact=True)

    def number(self, name: str = ALL) -> Locator:
        return self.page.get_by_role("spinbutton", name=f"{name}, in per cent")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def switch(self) -> Locator:
        return self.page.get_by_role("switch", name="Triton allowed")

    @property
    def apply(self) -> Locator:
        return self.button("Apply")

    @property
    def roll_back(self) -> Locator:
        return self.button("Roll back")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    @property
    def conflict(self) -> Locator:
        return self.page.get_by_role("alertdialog", name="Somebody changed the rollout meanwhile")

    @property
    def outcome(self) -> Locator:
        """What a roll back came to."""
        return self.page.locator(".outcome-words")

    @property
    def history(self) -> Locator:
        return self.page.get_by_role("table", name="History", exact=True)

    @property
    def newest(self) -> Locator:
        """The history's first entry."""
        return self.history.locator("tbody").first

    def region(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name, exact=True)

    def knows(self, version: int) -> None:
        """Returns once the page has heard of this version of the flags."""
        expect(self.region("Switch").locator("dd").first).to_have_text(str(version))

    # --- what somebody does ----------------------------------------------------------------------------------

    def set_share(self, percent: int, name: str = ALL) -> None:
        """In the number beside the fader; nothing is sent by it."""
        self.number(name).fill(str(percent))

    def applied(self, percent: int, reason: str = "", name: str = ALL) -> None:
        self.set_share(percent, name)
        if reason:
            self.region("Crossfader").get_by_role("textbox", name="Reason").fill(reason)
        self.apply.click()
        expect(self.region("Crossfader").get_by_role("button", name=re.compile("^Apply"))).to_be_hidden()

    def rolled_back(self, reason: str = "") -> None:
        self.roll_back.click()
        self.dialog.get_by_role("textbox", name="Reason").fill(reason)
        self.dialog.get_by_role("button", name="Roll back now").click()
        expect(self.dialog).to_have_count(0)


@contextmanager
def console_of(browser: Browser, url: str, **context: object) -> Iterator[Console]:
    """In a context of its own; what it complained of without being expected to is a failure, as is a stranger."""
    own = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})  # type: ignore[arg-type]
    own.set_default_timeout(PATIENCE_MS)
    watch = Watch(url)
    try:
        page = own.new_page()
        watch.on(page)
        yield Console(url, page, watch)
    finally:
        own.close()
    assert not watch.unexpected, watch.unexpected
    assert not watch.strangers, watch.strangers
