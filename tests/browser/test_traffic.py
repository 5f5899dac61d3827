"""The figures and the plots move with what is really asked: held against the counters that the backend tells."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.page import LATE_MS, Console
from tests.browser.sides import picture
from tests.browser.stage import Stage

ASKED = 24
BOTTOM = 119  # of a plot's drawing, where nothing is
Snapshot = dict[str, Any]
SNAPSHOTS = "async () => (await import('/console/store.js')).state.traffic"


def served(stage: Stage) -> dict[str, int]:
    """By side, how many of yolo26's requests, as /api/traffic counts them."""
    sides = stage.ask("GET", "/api/traffic").json()["detectors"]["yolo26"]["sides"]
    return {name: sum(one["requests"].values()) for name, one in sides.items()}


def section(console: Console, detector: str) -> Locator:
    return console.region("Traffic").get_by_role("region", name=f"Traffic of {detector}")


def shown(console: Console, detector: str, row: str) -> list[str]:
    """The words of this row, legacy's and Triton's."""
    cells = (
        section(console, detector)
        .get_by_role("row")
        .filter(has=console.page.get_by_role("rowheader", name=row, exact=True))
    )
    return cells.get_by_role("cell").all_inner_texts()


def rates(snapshots: list[Snapshot], detector: str, side: str) -> float:
    """Requests a second over all snapshots of the page, which are fewer than its window holds."""
    first, last = snapshots[0], snapshots[-1]
    count = [sum(one["detectors"][detector]["sides"][side]["requests"].values()) for one in (first, last)]
    return float((count[1] - count[0]) / (last["at"] - first["at"]))


def requests(snapshot: Snapshot) -> int:
    """Of yolo26, both sides."""
    sides = snapshot["detectors"]["yolo26"]["sides"].values()
    return sum(count for side in sides for count in side["requests"].values())


def heard(console: Console, enough: Callable[[list[Snapshot]], bool]) -> list[Snapshot]:
    """What the page has heard, once that is enough."""
    ends_at = time.monotonic() + LATE_MS / 1000
    while not (told := console.page.evaluate(SNAPSHOTS)) or not enough(told):
        assert time.monotonic() < ends_at, f"the page heard {len(told)} snapshots, and not enough"
        console.page.wait_for_timeout(50)
    return list(told)


def highest(console: Console, detector: str) -> float:
    """Of the first line of the first plot, down from the top."""
    line = section(console, detector).locator(".plot-drawing path.plot-line").first.get_attribute("d") or ""
    return min(float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line))


def test_what_is_asked_of_one_detector_moves_its_figures_and_plots_and_not_the_others(
    console: Console, stage: Stage
) -> None:
    stage.set(overrides={"yolo26": 0.5})
    stage.until_all_obey()
    expect(section(console, "yolo26")).to_be_visible(timeout=LATE_MS)
    before = served(stage)
    for _ in range(ASKED):
        stage.detect(picture(person=(40, 60, 80, 200)))
    after = served(stage)
    counted = {name: after[name] - before[name] for name in after}
    assert sum(counted.values()) == ASKED
    assert all(counted.values())  # both sides had some, else half of this proves nothing
    snapshots = heard(console, lambda told: requests(told[-1]) == sum(after.values()))
    legacy, triton = shown(console, "yolo26", "Requests/s")
    assert float(legacy) == pytest.approx(rates(snapshots, "yolo26", "legacy"), rel=0.05)
    assert float(triton) == pytest.approx(rates(snapshots, "yolo26", "triton"), rel=0.05)
    assert shown(console, "rtdetr", "Requests/s") == ["0", "0"]  # the control: nobody asked it
    for row in ("p50", "p95", "p99"):
        assert all(cell.endswith("s") for cell in shown(console, "yolo26", row))
        assert shown(console, "rtdetr", row) == ["–", "–"]
    assert highest(console, "yolo26") < highest(console, "rtdetr") == BOTTOM

    another_moment_is_read_with_the_arrow_keys(console)


def another_moment_is_read_with_the_arrow_keys(console: Console) -> None:
    """In the same page, which has moments by now."""
    slider = console.page.get_by_role("slider", name="Moment of the plots, yolo26")
    slider.focus()
    console.page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^\d+ s ago: legacy"))
    expect(section(console, "yolo26").get_by_role("columnheader").first).to_have_text(re.compile("^at "))
    console.page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^now: legacy"))
