"""The crossfader: a draft until Apply, then one change, which the history and everybody else sees."""

from __future__ import annotations

from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import Opener
from tests.browser.page import ALL, Console
from tests.browser.stage import ADMIN, VIEWER, Stage

RTDETR, YOLO26 = "Share of Triton, rtdetr", "Share of Triton, yolo26"


def drag(console: Console, fader: Locator, share: float) -> None:
    """By the mouse, from where its cap is."""
    box = fader.bounding_box()
    assert box is not None
    cap = 41.6  # pixels of the large cap, whose middle runs from half of it to the width less half of it
    at = float(fader.input_value()) / 100
    x = [box["x"] + cap / 2 + share * (box["width"] - cap) for share in (at, share)]
    y = box["y"] + box["height"] / 2
    mouse = console.page.mouse
    mouse.move(x[0], y)
    mouse.down()
    mouse.move(x[1], y, steps=5)
    mouse.up()


def test_dragged_it_sends_nothing_and_applied_it_sends_one_change_with_its_reason(
    console: Console, stage: Stage
) -> None:
    before = stage.state["version"]
    drag(console, console.master, 0.25)
    share = int(console.master.input_value())
    assert 23 <= share <= 27
    expect(console.region("Crossfader")).to_contain_text(f"yolo26 0 % → {share} %")
    assert console.watch.paths("PUT") == []
    console.region("Crossfader").get_by_role("textbox", name="Reason").fill("the parity is green")
    console.apply.click()
    expect(console.newest).to_contain_text("the parity is green")
    expect(console.newest).to_contain_text(f"all detectors 0 % → {share} %")
    change = stage.last_change
    assert (change["who"], change["reason"]) == ("ops", "the parity is green")
    assert change["after"]["fraction"] == share / 100
    assert change["version"] == before + 1
    (put,) = [one for one in console.watch.requests if one.method == "PUT"]
    assert put.headers["if-match"] == f'"v{before}"'


def test_by_keyboard_it_goes_step_by_step_and_enter_in_the_reason_applies(
    console: Console, stage: Stage
) -> None:
    console.master.focus()
    for _ in range(3):
        console.page.keyboard.press("ArrowRight")
    expect(console.master).to_have_attribute("aria-valuetext", "3 %, not sent yet")
    console.region("Crossfader").get_by_role("textbox", name="Reason").press("Enter")
    expect(console.master).to_have_attribute("aria-valuetext", "3 % asked for")
    assert stage.state["fraction"] == 0.03
    expect(console.master).to_be_focused()  # where the keyboard goes on


def test_nothing_can_be_moved_before_it_is_known_where_it_stands(stage: Stage, a_page: Opener) -> None:
    """What was moved then was lost without a word."""
    console, held = a_page(stage.url), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    console.page.route("**/api/rollout/events*", hold)
    console.visit(ADMIN)
    expect(console.master).to_be_disabled()
    expect(console.number()).to_be_disabled()
    held[0].continue_()
    expect(console.master).to_be_enabled()
    expect(console.number()).to_be_enabled()


def test_a_number_is_taken_as_it_is_typed_and_one_that_is_no_share_is_not(
    console: Console, stage: Stage
) -> None:
    console.number().fill("140")
    expect(console.apply).to_be_hidden()
    console.number().fill("0.5")
    console.apply.click()
    expect(console.newest).to_contain_text("all detectors 0 % → 0.5 %")
    assert stage.state["fraction"] == 0.005


def test_discarded_it_is_as_if_nobody_had_touched_it(console: Console, stage: Stage) -> None:
    version = stage.state["version"]
    console.set_share(60)
    console.set_share(30, RTDETR)
    console.button("Discard").click()
    expect(console.apply).to_be_hidden()
    for name in (ALL, RTDETR, YOLO26):
        expect(console.fader(name)).to_have_value("0")
    assert stage.state["version"] == version


def test_one_detector_goes_its_own_way_and_follows_all_again(console: Console, stage: Stage) -> None:
    console.applied(10)
    console.applied(40, name=RTDETR)
    state = stage.state
    assert (state["fraction"], state["overrides"]) == (0.1, {"rtdetr": 0.4})
    assert state["effective"] == {"rtdetr": 0.4, "yolo26": 0.1}
    expect(console.region("Crossfader")).to_contain_text("10–40 %")
    console.button("Follow all: rtdetr").click()
    console.apply.click()
    expect(console.newest).to_contain_text("rtdetr follows the common share again")
    assert stage.state["overrides"] == {}


def test_what_is_moved_while_a_change_is_on_its_way_is_held_against_that_change(
    console: Console, stage: Stage
) -> None:
    """Not against what was before it, which would be a lost update, by oneself."""
    held: list[Route] = []
    console.page.route("**/api/rollout", lambda route: route.fallback() if held else held.append(route))
    console.set_share(10)
    console.apply.click()
    expect(console.button("Applying…")).to_be_visible()
    console.set_share(40, RTDETR)
    held[0].continue_()
    console.apply.click()
    expect(console.newest).to_contain_text("rtdetr")
    assert (stage.state["fraction"], stage.state["overrides"]) == (0.1, {"rtdetr": 0.4})


def test_all_means_all_and_gives_up_what_single_detectors_had(console: Console, stage: Stage) -> None:
    stage.set(fraction=0.1, overrides={"yolo26": 0.9})
    expect(console.fader(YOLO26)).to_have_value("90")
    console.applied(20)
    assert stage.state["effective"] == {"rtdetr": 0.2, "yolo26": 0.2}


def test_whoever_looks_sees_it_move_without_a_reload(console: Console, stage: Stage, a_page: Opener) -> None:
    other = a_page(stage.url, VIEWER)
    console.applied(15, "two look at it")
    expect(other.region("Crossfader")).to_contain_text("15 %")
    expect(other.master).to_have_value("15")
    expect(other.newest).to_contain_text("two look at it")
    assert other.watch.paths().count("/") == 1
