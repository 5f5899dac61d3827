"""A browser, the stage and a page for each test of the console.

The browser lasts as long as the tests of this folder do, no longer: Playwright holds an event loop in this thread
meanwhile, and tests of other folders make their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import running_chromium
from tests.browser.page import Console, console_of
from tests.browser.stage import ADMIN, Stage, staged

Opener = Callable[..., Console]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def shared_stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("models")) as stage:
        yield stage


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """As it was at first, but for the history."""
    shared_stage.freshen()
    return shared_stage


@pytest.fixture
def a_page(browser: Browser) -> Iterator[Opener]:
    """`a_page(url, key)`: one more page, in a context of its own; where `key` is left out it is not opened yet."""
    with ExitStack() as pages:

        def opened(url: str, key: str = "", **context: object) -> Console:
            console = pages.enter_context(console_of(browser, url, **context))
            return console.open(key) if key else console

        yield opened


@pytest.fixture
def console(stage: Stage, a_page: Opener) -> Console:
    """An admin's page, live."""
    return a_page(stage.url, ADMIN)
