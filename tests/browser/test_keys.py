"""Who may what, and where the key goes: into a header of our own requests, and nowhere else."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.page import ALL, Console
from tests.browser.stage import ADMIN, CALLER, VIEWER, Stage

FORM = "Who is it?"


def test_a_viewer_sees_everything_and_is_told_why_nothing_can_be_moved(stage: Stage, a_page: Opener) -> None:
    stage.set(fraction=0.1)
    page = a_page(stage.url, VIEWER)
    expect(page.page.get_by_text("Your key (eye, viewer) may look, not change.")).to_be_visible()
    expect(page.master).to_have_value("10")
    expect(page.newest).to_be_visible()
    for control in (
        page.master,
        page.number(ALL),
        page.fader("Share of Triton, rtdetr"),
        page.switch,
        page.roll_back,
    ):
        expect(control).to_be_disabled()
    for start in page.page.get_by_role("button", name="Start a ramp of").all():
        expect(start).to_be_disabled()


def test_a_caller_is_told_that_their_key_only_detects(stage: Stage, a_page: Opener) -> None:
    page = a_page(stage.url)
    page.visit(CALLER)
    expect(page.region(FORM)).to_contain_text("Your key (cam, caller) may detect, not look.")
    expect(page.roll_back).to_be_hidden()


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_a_key_that_is_known_there_is_a_form_which_lets_the_right_one_in(
    stage: Stage, a_page: Opener, key: str | None
) -> None:
    page = a_page(stage.url)
    page.watch.expect("status of 401")
    page.visit(key)
    field = page.page.get_by_label("Key")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("type", "password")
    expect(page.roll_back).to_be_hidden()
    field.fill(ADMIN)
    field.press("Enter")
    expect(page.line).to_have_text("live")
    expect(page.master).to_be_enabled()


def test_the_key_leaves_the_address_bar_and_travels_as_a_header_only(console: Console, stage: Stage) -> None:
    console.applied(5, "the key is in no address")
    assert console.page.url == stage.url + "/"
    for one in console.watch.requests:
        for form in (ADMIN, quote(ADMIN, safe="")):
            assert form not in one.url
            assert form not in one.headers.get("referer", "")
        if "/api/" in one.url:
            assert one.headers.get("x-api-key") == ADMIN
        else:
            assert "x-api-key" not in one.headers
    assert console.page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"
    console.page.go_back()
    assert "#" not in console.page.url


def test_a_reload_keeps_the_key_and_another_tab_does_not_have_it(console: Console, stage: Stage) -> None:
    console.page.reload()
    expect(console.line).to_have_text("live")
    other = console.page.context.new_page()
    other.goto(stage.url)
    expect(other.get_by_role("region", name=FORM)).to_be_visible()
