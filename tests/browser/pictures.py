"""The pictures of the console for readers: a busy stack, drawn scenes, a ramp at its second step, some mismatches.

    python -m tests.browser.pictures    # about five minutes on 2 cores; writes docs/img/console-*.png

Everything is real but for two things: both detectors are the demo YOLO26 at half the pixels, and the ramp's bounds are
wide and its waits short, so that it comes to its second step while somebody waits.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser.chromium import running_chromium
from tests.browser.page import LATE_MS, Console, console_of
from tests.faults import MODEL, FaultyHouse, build_house
from tests.proof_stack import Stack, proof_stack, require
from tests.threads import running
from tests.traffic import frames, watched

IMAGES = Path(__file__).parents[2] / "docs" / "img"
MOST_BYTES = 300_000
COLOURS = 256
PER_S = 6.0
OTHER_PER_S = 2.0  # of rtdetr
FAULT = {"renames": {"car": "truck"}, "loses": ["dog"]}
PATIENCE_S = 400.0
IN_TWO_ROWS = 8
RAMP = {
    "RAMP_DISAGREEMENT": "0.03", "RAMP_ERRORS": "0.05", "RAMP_SLOW": "0.6", "RAMP_FRESH": "0.6", "RAMP_HEADROOM": "0",
    "RAMP_STEP_S": "0", "RAMP_STEP_SAMPLES": "50", "RAMP_BASELINE_TIMES": "100", "RAMP_LOOK_S": "0.5",
    "EVIDENCE_CAMERA_GAP_S": "0", "EVIDENCE_LATENCY_GAP_S": "0", "EVIDENCE_FLUSH_S": "0.25",
}  # fmt: skip


@dataclass(frozen=True)
class Shot:
    name: str
    scheme: str
    width: int
    height: int
    scale: float = 1.0
    mobile: bool = False


SHOTS = (
    Shot("light", "light", 1280, 900),
    Shot("dark", "dark", 1280, 900),
    Shot("phone", "light", 390, 844, mobile=True),
)
# What nobody asks for in a picture: the other detector's figures, and the panels below the ramp.
LEFT_OUT = """[...document.querySelectorAll("[aria-label='Traffic of rtdetr'], [aria-label='Ramp of rtdetr']")]
  .concat(["gallery", "history", "drop"].map((name) => document.querySelector(`#panel-${name}`).closest("section")))
  .forEach((one) => { one.hidden = true; })"""


def main() -> None:
    frames()
    with tempfile.TemporaryDirectory(prefix="crossfade-pictures-") as folder, ExitStack() as closing:
        house = _house(Path(folder))
        stack = closing.enter_context(proof_stack(house, **RAMP))
        browser = closing.enter_context(running_chromium())
        consoles = {shot: closing.enter_context(_opened(browser, stack, shot)) for shot in SHOTS}
        with watched(stack.backend.url, PER_S), _asking(stack, OTHER_PER_S):
            _happen(stack)
            for shot, console in consoles.items():
                _taken(console, shot)


def _house(folder: Path) -> FaultyHouse:
    """The same model serves as rtdetr too."""
    house = build_house(folder)
    other = house.repository / "rtdetr_jpeg"
    shutil.copytree(house.repository / MODEL, other)
    config = other / "config.pbtxt"
    config.write_text(config.read_text().replace(f'name: "{MODEL}"', 'name: "rtdetr_jpeg"'))
    return house


@contextmanager
def _opened(browser: Browser, stack: Stack, shot: Shot) -> Iterator[Console]:
    context: dict[str, Any] = {
        "viewport": {"width": shot.width, "height": shot.height}, "color_scheme": shot.scheme,
        "device_scale_factor": shot.scale, "is_mobile": shot.mobile, "has_touch": shot.mobile,
    }  # fmt: skip
    with console_of(browser, stack.backend.url, **context) as console:
        yield console.open(stack.backend.admin["X-API-Key"])


def _happen(stack: Stack) -> None:
    """A night and a morning: a bad model is compared, Triton falls down once, a good one begins to earn its share."""
    stack.backend.set(fraction=0.25, shadow=0.5, reason="half an hour with the new weights")
    stack.house.plant(FAULT)
    _wait_s(stack, 70)
    stack.triton.restart()
    _wait_s(stack, 20)
    stack.backend.rollback()
    stack.house.plant({})
    _wait_s(stack, 15)
    stack.backend.set(
        fraction=0.1, overrides={"yolo26": 0.0}, shadow=0.8, reason="Tuesday's weights are back"
    )
    started = stack.order(reason="parity is green")
    assert started.status_code == 200, started.text
    require(stack, lambda: stack.ramp["phase"] == "running" and stack.ramp["step"] == 1, PATIENCE_S)
    require(stack, lambda: _samples(stack) >= 60, PATIENCE_S)


def _samples(stack: Stack) -> int:
    """Of the step that it stands at."""
    ramp = stack.ramp
    look = ramp["look"] or {}
    answers = look["answers"] if look.get("epoch") == ramp["epoch"] else []
    asked = [one for one in answers if one["question"] == "disagreement"]
    return sum(one[name] for one in asked for name in ("worse", "same", "better"))


def _wait_s(stack: Stack, seconds: float) -> None:
    """Of traffic."""
    threading.Event().wait(seconds)


@contextmanager
def _asking(stack: Stack, per_s: float) -> Iterator[None]:
    """The other detector, which nobody ramps."""
    ended = threading.Event()

    def ask() -> None:
        for frame in cycle(frames()):
            if ended.wait(1 / per_s):
                return
            params = {"detector": "rtdetr", "camera": frame.camera}
            httpx.post(f"{stack.backend.url}/api/detect", params=params, content=frame.jpeg, timeout=20,
                       headers={"Content-Type": "image/jpeg"}, trust_env=False)  # fmt: skip

    with running(ask, ended.set, 30):
        yield


def _taken(console: Console, shot: Shot) -> None:
    expect(console.line).to_have_text("live", timeout=LATE_MS)
    page = console.page
    if shot.mobile:
        return _save(page.screenshot(), shot.name)
    if shot.name == "light":
        _save(_gallery(console), "mismatches")
    page.evaluate(LEFT_OUT)
    _grow(console)
    page.wait_for_timeout(2500)  # what is drawn as wide as it has room is drawn anew with the next event
    return _save(page.screenshot(), shot.name)


def _gallery(console: Console) -> bytes:
    """Its first two rows."""
    fresh = console.page.get_by_role("button", name="newer")
    if fresh.is_visible():
        fresh.click()
    _grow(console)
    panel = console.region("Mismatches")
    figures = panel.get_by_role("figure").all()[:IN_TWO_ROWS]
    for figure in figures:
        expect(figure.locator("img")).not_to_have_js_property("naturalWidth", 0)
    top, low = panel.bounding_box(), [box for figure in figures if (box := figure.bounding_box())]
    assert top is not None
    bottom = max(box["y"] + box["height"] for box in low) + 16
    return console.page.screenshot(clip={**top, "height": bottom - top["y"]})


def _grow(console: Console) -> None:
    """The window, as high as the page: its head stays where it belongs."""
    console.page.evaluate("window.scrollTo(0, 0)")
    height = console.page.evaluate("Math.ceil(document.body.getBoundingClientRect().height)")
    width = console.page.viewport_size["width"] if console.page.viewport_size else 1280
    console.page.set_viewport_size({"width": width, "height": height})


def _save(png: bytes, name: str) -> None:
    """In few colours: half the size, and nobody sees it."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS)
    path = IMAGES / f"console-{name}.png"
    picture.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {picture.width} x {picture.height}, {size:,} bytes")
    assert size <= MOST_BYTES, "too large for a page that many read"


if __name__ == "__main__":
    main()
