"""Without a mouse: every control is reached by Tab in the order of the page, shows it, and is used by keys."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.page import ALL, Console
from tests.browser.stage import Stage

FOCUSED = """() => {
  const one = document.activeElement;
  return one === document.body ? "" : one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? one.textContent;
}"""
RING = """() => {
  const one = document.activeElement;
  const shown = [one, one.nextElementSibling, one.closest("label")].filter(Boolean).map((it) => getComputedStyle(it));
  return shown.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
}"""
MOST = 60


def tabbed(page: Page) -> list[str]:
    """The names of all that Tab reaches, in turn; each shows that it has the focus."""
    names: list[str] = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(MOST):
        page.keyboard.press("Tab")
        name = page.evaluate(FOCUSED).strip()
        if not name:  # round, and out of the page
            return names
        assert page.evaluate(RING), f"{name} does not show that it has the focus"
        names.append(name)
    raise AssertionError(f"Tab goes round among {names}")


def test_tab_reaches_each_control_in_the_order_of_the_page(console: Console) -> None:
    names = tabbed(console.page)
    wanted = [
        "Roll back", ALL, f"{ALL}, in per cent", "Share of Triton, rtdetr", "Share of Triton, yolo26", "Triton allowed",
        "Start a ramp of rtdetr", "Detector", "Class", "Kind", "Drop a picture here or choose one",
        "Save all as JSON Lines",
    ]  # fmt: skip
    found = [names.index(name) for name in wanted]
    assert found == sorted(found)


def test_a_roll_back_takes_four_keys_and_the_focus_comes_back(console: Console, stage: Stage) -> None:
    console.knows(stage.set(fraction=0.5))
    console.page.evaluate("document.activeElement.blur()")
    for key in ("Tab", "Enter"):
        console.page.keyboard.press(key)
    expect(console.dialog.get_by_role("textbox", name="Reason")).to_be_focused()
    console.page.keyboard.type("by keyboard")
    console.page.keyboard.press("Enter")
    expect(console.outcome).to_contain_text("acknowledged by")
    expect(console.roll_back).to_be_focused()
    assert stage.last_change["reason"] == "by keyboard"


def test_a_dialog_keeps_the_keyboard_until_escape_gives_it_back(console: Console) -> None:
    opener = console.button("Start a ramp of yolo26")
    opener.focus()
    console.page.keyboard.press("Enter")
    expect(console.dialog).to_be_visible()
    for _ in range(12):
        console.page.keyboard.press("Tab")
        assert console.page.evaluate(
            "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        )
    console.page.keyboard.press("Escape")
    expect(console.dialog).to_have_count(0)
    expect(opener).to_be_focused()


def test_the_switch_moves_by_the_space_bar(console: Console, stage: Stage) -> None:
    console.switch.focus()
    console.page.keyboard.press("Space")
    expect(console.switch).not_to_be_checked()
    expect(console.newest).to_contain_text("Triton switched off")
    expect(console.switch).to_be_focused()
    assert stage.state["enabled"] is False
