"""How it looks and reads: on a phone, by night, without motion, to whoever sees little and to whoever sees nothing."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.page import Console
from tests.browser.reading import contrasts, nameless
from tests.browser.sides import picture
from tests.browser.stage import ADMIN, VIEWER, Stage
from tests.browser.test_drop import choose, side

LEAST_CONTRAST = 4.5
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
TAPPED = """() => {
  const button = [...document.querySelectorAll("button")].find((one) => one.textContent === "Roll back");
  const box = button.getBoundingClientRect();
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {ours: at === button, ...box.toJSON()};
}"""


@pytest.fixture
def eventful(stage: Stage) -> Stage:
    """With something in every panel."""
    stage.set(
        "a longer reason, which a narrow page has to break somewhere", fraction=0.1, overrides={"yolo26": 0.5}
    )
    return stage


def filled(console: Console) -> Console:
    """Once a picture was tried, and a draft made."""
    choose(console, "yard.jpg", picture(person=(40, 60, 80, 200), car=(300, 200, 160, 80)))
    expect(side(console, "triton").locator("rect.box-line")).to_have_count(1)
    expect(console.region("Traffic").get_by_role("region")).to_have_count(2)
    console.set_share(30)
    return console


def test_on_a_phone_nothing_hangs_over_and_roll_back_is_under_the_thumb_everywhere(
    eventful: Stage, a_page: Opener
) -> None:
    console = filled(a_page(eventful.url, ADMIN, **PHONE))
    page = console.page
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height > 2 * PHONE["viewport"]["height"]  # else there is nothing to scroll
    for at in range(0, height, 400):
        page.evaluate("(at) => window.scrollTo(0, at)", at)
        box = page.evaluate(TAPPED)
        assert box["ours"], f"something lies over it at {at}"
        assert box["top"] >= 0
        assert box["bottom"] <= 740
        assert box["right"] <= 360
        assert min(box["width"], box["height"]) >= 44  # of a thumb
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    console.roll_back.tap()
    expect(console.dialog).to_be_visible()
    console.dialog.get_by_role("button", name="Roll back now").tap()
    expect(console.outcome).to_contain_text("acknowledged by")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_by_day_and_by_night(
    eventful: Stage, a_page: Opener, scheme: Literal["light", "dark"]
) -> None:
    console = filled(a_page(eventful.url, ADMIN, color_scheme=scheme))
    found = contrasts(console.page)
    assert len(found) > 80
    assert {text: at for text, at in found.items() if at < LEAST_CONTRAST} == {}
    console.roll_back.click()
    expect(console.dialog).to_be_visible()
    found = contrasts(console.page)
    assert {text: at for text, at in found.items() if at < LEAST_CONTRAST} == {}
    ground = console.page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert (sum(ground) < 120) == (scheme == "dark")


def test_the_measure_of_contrast_would_see_a_text_that_is_hard_to_read(console: Console) -> None:
    console.page.evaluate("document.querySelector('#who').style.setProperty('color', '#aaa')")
    assert contrasts(console.page)["ops, admin"] == pytest.approx(2.32, abs=0.01)


@pytest.mark.parametrize("key", [ADMIN, VIEWER])
def test_everything_that_is_used_or_pointed_at_has_a_name(eventful: Stage, a_page: Opener, key: str) -> None:
    console = a_page(eventful.url, key)
    choose(console, "yard.jpg", picture(person=(40, 60, 80, 200)))
    expect(console.region("Try a picture").get_by_role("figure").first).to_be_visible()
    expect(console.region("Traffic").get_by_role("region")).to_have_count(2)
    assert nameless(console.page) == []
    console.page.evaluate("document.body.append(document.createElement('button'))")
    assert nameless(console.page) == ["button"]  # the control


def test_who_wants_no_motion_sees_none(stage: Stage, a_page: Opener) -> None:
    moving = """() => [...document.querySelectorAll("*")].filter((one) => {
      const style = getComputedStyle(one);
      return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none";
    }).length"""
    assert a_page(stage.url, ADMIN, reduced_motion="reduce").page.evaluate(moving) == 0
    assert a_page(stage.url, ADMIN, reduced_motion="no-preference").page.evaluate(moving) > 0  # the control
