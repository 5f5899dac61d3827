"""What can be computed of a page's looks: each text's contrast with what lies under it, and each control's name."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

# As WCAG 2 computes it, of each visible text. Colours are read back from a canvas, which knows every way to write one.
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => top.slice(0, 3).map((one, at) => one * top[3] + under[at] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const own = rgba(getComputedStyle(element).backgroundColor);
    const under = own[3] === 1 ? null : element.parentElement ? ground(element.parentElement) : [255, 255, 255, 1];
    return under ? over(own, under) : own;
  };
  const light = ([r, g, b]) => {
    const linear = (one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
    const parts = [r, g, b].map((one) => linear(one / 255));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || element.closest(":disabled, option, .unseen")) continue;
    if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const below = ground(element);
    const style = getComputedStyle(element);
    const ink = over(rgba(element instanceof SVGElement ? style.fill : style.color), below);
    const [bright, dark] = [light(ink), light(below)].sort((a, b) => b - a);
    found.push({text: text.slice(0, 60), contrast: (bright + 0.05) / (dark + 0.05)});
  }
  return found;
}"""

CONTROLS = {
    "button", "slider", "spinbutton", "textbox", "combobox", "switch", "checkbox", "link", "dialog", "alertdialog",
    "table", "img", "image", "region", "listbox",
}  # fmt: skip


def contrasts(page: Page) -> dict[str, float]:
    """By text, the worst."""
    found: dict[str, float] = {}
    for one in page.evaluate(CONTRASTS):
        found[one["text"]] = min(one["contrast"], found.get(one["text"], 21.0))
    return found


def nameless(page: Page) -> list[str]:
    """The roles of what assistive technology would call by no name, as Chromium itself computes it."""
    session = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return [
        role for node in nodes
        if not node["ignored"] and (role := node["role"]["value"]) in CONTROLS
        and not node.get("name", {}).get("value", "").strip()
    ]  # fmt: skip
