"""What stands in the way is shown: a lost connection, a store that cannot be read, the kill switch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.backends import running_backend
from tests.browser.conftest import Opener
from tests.browser.page import LATE_MS, Console
from tests.browser.stage import ADMIN, KEYS, Stage

EVENTS, HISTORY = "/api/rollout/events", "/api/rollout/history"
REFUSED = "ERR_CONNECTION_REFUSED"
BROKEN_OFF = "ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)"


@pytest.fixture(scope="module")
def lone(browser: Browser) -> Iterator[Stage]:
    """A backend whose sides are away: only its own life matters here."""
    with running_backend(ready=False, API_KEYS=KEYS, env_file="TRITON_ENABLED=true\n") as backend:
        yield Stage(backend)


@pytest.fixture
def page(lone: Stage, a_page: Opener) -> Console:
    return a_page(lone.url, ADMIN)


def test_a_lost_connection_is_told_with_its_age_and_regained_without_a_reload(
    page: Console, lone: Stage
) -> None:
    page.watch.expect(REFUSED, BROKEN_OFF)
    lone.set(fraction=0.35)
    expect(page.master).to_have_value("35")
    figures = page.region("Switch").locator("[data-live]")
    expect(figures).to_have_css("filter", "none")
    lone.backend.kill()
    expect(page.line).to_have_text(re.compile(r"lost \d+ s ago, trying again"))
    expect(page.page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    expect(figures).to_have_css("filter", "grayscale(1)")
    expect(page.master).to_have_value("35")  # as it stood
    first = page.line.inner_text()
    expect(page.line).not_to_have_text(first)  # the seconds go on
    lone.backend.start(ready=False)
    expect(page.line).to_have_text("live", timeout=LATE_MS)
    expect(figures).to_have_css("filter", "none")
    expect(page.page.get_by_role("alert").filter(has_text="Connection lost")).to_have_count(0)
    reads = page.watch.paths().count(HISTORY)
    page.knows(lone.set("after it came back", fraction=0.45))
    expect(page.newest).to_contain_text("after it came back")
    assert (
        page.watch.paths().count(HISTORY) == reads + 1
    )  # a part that heard of it twice would have read twice
    assert page.watch.open_ones(EVENTS) == 1
    assert page.watch.paths().count("/") == 1


def test_a_thrown_kill_switch_is_shown_at_once_and_says_where_it_is_lifted(
    page: Console, lone: Stage
) -> None:
    lone.set(fraction=0.4, enabled=True)
    expect(page.switch).to_be_enabled()
    lone.backend.say(TRITON_ENABLED="false")
    expect(page.switch).to_be_disabled()
    expect(page.region("Switch")).to_contain_text(
        "TRITON_ENABLED=false stands before it, in the backend's environment or .env"
    )
    expect(page.region("Crossfader")).to_contain_text(
        "The kill switch is thrown: these shares hold when it is lifted."
    )
    expect(page.region("Crossfader")).to_contain_text("now 0 %")
    expect(page.master).to_have_value("40")
    lone.backend.say(TRITON_ENABLED="true")
    expect(page.switch).to_be_enabled()
    expect(page.region("Crossfader")).to_contain_text("now 40 %")


def test_a_store_that_cannot_be_read_is_shown_and_a_change_is_refused_in_words(
    page: Console, lone: Stage
) -> None:
    page.watch.expect("status of 503")
    lone.set(fraction=0.2)
    expect(page.master).to_have_value("20")
    expect(page.newest).to_contain_text("→ 20 %")  # one that is cut off under way is complained of, rightly
    with rubbish_for_a_store(lone.backend.var / "crossfade.db"):
        banner = page.page.get_by_role("alert").filter(has_text="The store of the flags cannot be read")
        expect(banner).to_be_visible()
        expect(page.line).to_have_text("live, but the store is away")
        page.set_share(30)
        page.apply.click()
        expect(page.region("Crossfader")).to_contain_text("Not applied:")
        expect(page.region("Crossfader")).to_contain_text("The draft is kept.")
        expect(page.master).to_have_value("30")
    expect(banner).to_have_count(0)
    expect(page.line).to_have_text("live")
    page.apply.click()
    expect(page.apply).to_be_hidden()
    assert lone.state["fraction"] == 0.3


@contextmanager
def rubbish_for_a_store(file: Path) -> Iterator[None]:
    """What stands there is no database; afterwards there is none, and the backend fills a new one."""
    for path in file.parent.glob(file.name + "*"):
        path.unlink()
    file.write_text("rubbish, as long as a page of it\n" * 200)
    try:
        yield
    finally:
        file.unlink()
