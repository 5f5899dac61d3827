"""Lost updates: somebody changed the rollout while a draft was made here. It shows who and what and undoes nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page import Console
from tests.browser.stage import Stage


@pytest.fixture
def met(console: Console, stage: Stage) -> Console:
    """A draft of 50 % on 0 %, applied after somebody else has set 10 % and compares."""
    console.set_share(50)
    stage.set("the night shift tries it", fraction=0.1, shadow=0.25)
    expect(console.region("Crossfader")).to_contain_text("Somebody changed the rollout since you began")
    console.watch.expect("status of 412")
    console.apply.click()
    expect(console.conflict).to_be_visible()
    return console


def test_it_shows_who_changed_what_and_why_and_what_was_wanted_here(met: Console, stage: Stage) -> None:
    for words in (
        "ops", "the night shift tries it", "all detectors 0 % → 10 %", "compared 0 % → 25 %", "yolo26 10 % → 50 %",
    ):  # fmt: skip
        expect(met.conflict).to_contain_text(words)
    expect(met.conflict.get_by_role("button", name="Keep theirs")).to_be_focused()
    assert stage.state["fraction"] == 0.1


def test_mine_on_top_changes_what_was_moved_here_and_keeps_the_rest_of_theirs(
    met: Console, stage: Stage
) -> None:
    met.conflict.get_by_role("button", name="Apply mine on top").click()
    expect(met.newest).to_contain_text("all detectors 10 % → 50 %")
    assert (stage.state["fraction"], stage.state["shadow"]) == (0.5, 0.25)


@pytest.mark.parametrize("by", ["button", "Escape"])
def test_keeping_theirs_changes_nothing_and_shows_it(met: Console, stage: Stage, by: str) -> None:
    version = stage.state["version"]
    if by == "Escape":
        met.page.keyboard.press("Escape")
    else:
        met.conflict.get_by_role("button", name="Keep theirs").click()
    expect(met.conflict).to_have_count(0)
    expect(met.master).to_have_value("10")
    expect(met.apply).to_be_hidden()
    assert stage.state["version"] == version


def test_a_roll_back_starts_from_there_too(met: Console, stage: Stage) -> None:
    met.conflict.get_by_role("button", name="Roll back everything now").click()
    expect(met.outcome).to_contain_text("acknowledged by")
    assert stage.state["fraction"] == 0


def test_the_switch_meets_one_as_well(console: Console, stage: Stage) -> None:
    stage.set(fraction=0.2)
    expect(console.master).to_have_value("20")
    console.switch.locator("..").click()
    expect(console.newest).to_contain_text("Triton switched off")
    console.switch.locator("..").click()
    expect(console.dialog).to_contain_text("every detector 20 %")
    stage.set("more of it", fraction=0.9)
    console.watch.expect("status of 412")
    console.dialog.get_by_role("button", name="Allow").click()
    expect(console.conflict).to_contain_text("all detectors 20 % → 90 %")
    console.conflict.get_by_role("button", name="Keep theirs").click()
    expect(console.switch).not_to_be_checked()
    assert stage.state["enabled"] is False
