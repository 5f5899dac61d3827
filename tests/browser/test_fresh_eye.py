"""The way back for somebody who never saw the page, with a worker that hangs and a lost update on the way.

What it takes is printed, not asserted: the machine's seconds, and an estimate of the person's, who needs 1.2 s to find
and press a thing (a keystroke-level model), and reads headings, buttons and the outcome at four words a second.
"""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.page import LATE_MS
from tests.browser.stage import ADMIN, Stage
from tests.browser.test_roll_back import ACKNOWLEDGED, standing_still

WORDS_PER_S = 4
ACT_S = 1.2
ACTS = 4  # the number, Apply, "Roll back everything now", and a look for what came of it


def test_it_ends_on_legacy_with_the_worker_named_that_hangs(
    stage: Stage, a_page: Opener, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.set(fraction=0.5)
    stage.until_all_obey()
    victim = max(stage.backend.workers)
    with standing_still(victim):
        began = time.monotonic()
        console = a_page(stage.url, ADMIN)
        console.watch.expect("status of 412")
        console.set_share(0)
        stage.set("the night shift gives it more", fraction=0.6)
        console.apply.click()
        expect(console.conflict).to_be_visible(timeout=LATE_MS)
        choices = [console.conflict.get_by_role("heading"), *console.conflict.get_by_role("button").all()]
        read = " ".join(one.inner_text() for one in choices)
        console.conflict.get_by_role("button", name="Roll back everything now").click()
        expect(console.outcome).to_contain_text("Everything is on legacy", timeout=LATE_MS)
        machine_s = time.monotonic() - began
        read += " " + console.outcome.inner_text()
        expect(console.outcome).to_contain_text(f"-{victim}-")
    person_s = ACTS * ACT_S + len(re.findall(r"\w+", read)) / WORDS_PER_S
    with capsys.disabled():
        print(f" [machine {machine_s:.1f} s, person about {person_s:.0f} s] ", end="")
    assert stage.state["fraction"] == 0
    expect(console.outcome).to_have_text(ACKNOWLEDGED, timeout=LATE_MS)
