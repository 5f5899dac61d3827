"""The way back: one button, a reason, who has confirmed it and who has not, and an undo that restores what was."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from playwright.sync_api import expect

from tests.browser.page import LATE_MS, Console
from tests.browser.stage import WORKERS, Stage

GIVEN = {"fraction": 0.25, "overrides": {"yolo26": 0.5}, "shadow": 0.125}
ACKNOWLEDGED = f"Everything is on legacy: acknowledged by {WORKERS} of {WORKERS} workers."
RESTORED = (*GIVEN, "pins_suspended", "enabled", "pins")


def test_it_is_acknowledged_by_every_worker_and_stands_in_the_history_with_its_reason(
    console: Console, stage: Stage
) -> None:
    console.knows(stage.set(**GIVEN))
    console.roll_back.click()
    expect(console.dialog).to_have_accessible_name("Roll back everything to legacy?")
    expect(console.dialog).to_contain_text("rtdetr 25 % and yolo26 50 %")
    reason = console.dialog.get_by_role("textbox", name="Reason")
    expect(reason).to_be_focused()
    reason.fill("the dogs are gone")
    reason.press("Enter")
    expect(console.outcome).to_have_text(ACKNOWLEDGED)
    expect(console.newest).to_contain_text("the dogs are gone")
    state = stage.state
    assert state["effective"] == {"rtdetr": 0.0, "yolo26": 0.0}
    assert (stage.last_change["who"], stage.last_change["reason"]) == ("ops", "the dogs are gone")


def test_an_undo_says_what_it_restores_and_restores_exactly_that(console: Console, stage: Stage) -> None:
    stage.set(**GIVEN)
    before = stage.state
    console.rolled_back()
    assert stage.state["fraction"] == 0
    console.button("Undo").click()
    for words in ("all detectors 0 % → 25 %", "yolo26 0 % → 50 %"):
        expect(console.dialog).to_contain_text(words)
    assert stage.state["fraction"] == 0  # it says so before it does it
    console.dialog.get_by_role("button", name="Restore").click()
    expect(console.newest).to_contain_text("undo of the roll back")
    after = stage.state
    assert {name: after[name] for name in RESTORED} == {name: before[name] for name in RESTORED}
    expect(console.button("Undo")).to_be_hidden()


def test_whoever_thinks_better_of_it_has_changed_nothing(console: Console, stage: Stage) -> None:
    version = stage.set(fraction=0.3)
    cancel = console.dialog.get_by_role("button", name="Cancel")
    for leave in (partial(console.page.keyboard.press, "Escape"), cancel.click):
        console.roll_back.click()
        expect(console.dialog).to_be_visible()
        leave()
        expect(console.dialog).to_have_count(0)
        expect(console.roll_back).to_be_focused()
    assert stage.state["version"] == version
    assert console.watch.paths("POST") == []


def test_it_meets_no_lost_update_whatever_was_changed_meanwhile(console: Console, stage: Stage) -> None:
    stage.set(fraction=0.3)
    console.set_share(50)  # a draft on a state that is not the newest any more
    stage.set("quicker", fraction=0.8)
    console.rolled_back("whatever there is")
    expect(console.outcome).to_contain_text("acknowledged by")
    assert stage.state["fraction"] == 0
    expect(console.apply).to_be_hidden()  # nobody sends the draft of before by mistake


def test_a_worker_that_stands_still_is_named_until_it_has_confirmed(console: Console, stage: Stage) -> None:
    """Whether it is only late or not heard of any more depends on whom the page asked first."""
    stage.set(fraction=0.4)
    stage.until_all_obey()
    victim = max(stage.backend.workers)
    with standing_still(victim):
        console.rolled_back("one of them hangs")
        named = rf"(not confirmed by: \S*-{victim}-|-{victim}-\S* is not heard of any more)"
        expect(console.outcome).to_have_text(re.compile(named), timeout=LATE_MS)
    expect(console.outcome).to_have_text(ACKNOWLEDGED, timeout=LATE_MS)
    assert stage.state["fraction"] == 0


def test_an_undo_that_meets_a_lost_update_shows_whose_and_leaves_it_where_one_says_so(
    console: Console, stage: Stage
) -> None:
    stage.set(**GIVEN)
    console.rolled_back()
    theirs = stage.set("I had to look again", fraction=0.05)
    console.watch.expect(r"status of 412")
    console.button("Undo").click()
    console.dialog.get_by_role("button", name="Restore").click()
    expect(console.conflict).to_contain_text("I had to look again")
    expect(console.conflict).to_contain_text("all detectors 0 % → 5 %")
    console.conflict.get_by_role("button", name="Keep theirs").click()
    expect(console.conflict).to_have_count(0)
    assert stage.state["version"] == theirs
    console.button("Undo").click()
    console.dialog.get_by_role("button", name="Restore").click()
    console.conflict.get_by_role("button", name="Apply mine on top").click()
    expect(console.newest).to_contain_text("undo of the roll back")
    assert {name: stage.state[name] for name in GIVEN} == GIVEN


def test_a_reload_keeps_what_it_came_to_and_the_way_to_undo_it(console: Console, stage: Stage) -> None:
    stage.set(fraction=0.2)
    console.rolled_back()
    expect(console.button("Undo")).to_be_visible()
    console.page.reload()
    expect(console.outcome).to_contain_text("acknowledged by")
    console.button("Undo").click()
    expect(console.dialog).to_contain_text("all detectors 0 % → 20 %")


@contextmanager
def standing_still(pid: int) -> Iterator[int]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)
