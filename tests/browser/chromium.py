"""Debian's Chromium, driven by Playwright: one for all tests of this folder, a context of its own for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

PROGRAM = "chromium"
MISSING = "there is no chromium here (Debian: apt-get install chromium)"
PATIENCE_MS = 15_000
FLAGS = (
    "--no-sandbox",  # tests run as root in containers, and load nothing but our own page
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Skips the test where there is none; with CI set that is a failure."""
    program = shutil.which(PROGRAM)
    if program is None:
        pytest.fail(MISSING) if os.environ.get("CI") else pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()
