"""A picture of one's own: its boxes are drawn where each side's answer says, and what is no picture is told so."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, expect

from tests import pictures
from tests.browser.conftest import Opener
from tests.browser.page import Console, console_of
from tests.browser.sides import painted, picture
from tests.browser.stage import ADMIN, VIEWER, Stage

PERSON, CAR = (40, 60, 80, 200), (300, 200, 160, 80)
ZONE = "Drop a picture here or choose one"
CLOCKWISE = 6  # the EXIF orientation of a picture that is to be turned by a quarter, clockwise
CODING_PIXELS = 4  # how far a JPEG smears an edge, after the input was scaled


@pytest.fixture(scope="module")
def console(browser: Browser, shared_stage: Stage) -> Iterator[Console]:
    """One for all: a picture that was tried leaves nothing behind."""
    shared_stage.freshen()
    with console_of(browser, shared_stage.url) as console:
        yield console.open(ADMIN)


def choose(console: Console, name: str, data: bytes, media_type: str = "image/jpeg") -> None:
    file: FilePayload = {"name": name, "mimeType": media_type, "buffer": data}
    console.page.get_by_label(ZONE).set_input_files(file)


def drop(console: Console, name: str, data: bytes) -> None:
    """As the browser does it: a DataTransfer that holds a File."""
    script = """([name, data]) => {
      const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, {type: "image/jpeg"}));
      return transfer;
    }"""
    transfer = console.page.evaluate_handle(script, [name, b64encode(data).decode()])
    zone = console.region("Try a picture").locator("label").filter(has_text=ZONE)
    for event in ("dragover", "drop"):
        zone.dispatch_event(event, {"dataTransfer": transfer})


def side(console: Console, name: str) -> Locator:
    return console.region("Try a picture").get_by_role("figure", name=name, exact=True)


def drawn(figure: Locator) -> list[list[float]]:
    """[x, y, width, height] of each box in the drawing, whose view box is the picture."""
    expect(figure.locator("svg.boxes")).to_be_visible()
    return list(figure.locator("svg.boxes rect.box-line").evaluate_all(
        "all => all.map((one) => ['x', 'y', 'width', 'height'].map((name) => Number(one.getAttribute(name))))"
    ))  # fmt: skip


def answered(stage: Stage, data: bytes, backend: str) -> list[dict[str, Any]]:
    return list(stage.detect(data, backend=backend)["detections"])


def test_it_is_asked_of_both_sides_and_each_box_is_drawn_where_the_answer_says(
    console: Console, shared_stage: Stage
) -> None:
    data = picture(person=PERSON, car=CAR)
    choose(console, "yard.jpg", data)
    for name, count in (("legacy", 2), ("triton", 1)):
        boxes = drawn(side(console, name))
        found = answered(shared_stage, data, name)
        assert len(boxes) == len(found) == count
        assert boxes == [[one["bbox"][key] for key in ("x", "y", "width", "height")] for one in found]
        assert max(abs(a - b) for a, b in zip(boxes[0], PERSON, strict=True)) <= CODING_PIXELS
        assert side(console, name).locator("svg.boxes").get_attribute("viewBox") == "0 0 640 360"
        expect(side(console, name).locator("img")).to_have_js_property("naturalWidth", 640)
        expect(side(console, name)).to_contain_text("person 0.90")
    expect(console.region("Try a picture").get_by_role("status")).to_contain_text("only legacy sees a car")


def test_the_boxes_lie_over_the_picture_whatever_size_it_is_shown_in(console: Console) -> None:
    choose(console, "yard.jpg", picture(person=PERSON, car=CAR))
    figure = side(console, "legacy")
    expect(figure.locator("rect.box-line")).to_have_count(2)
    frame, box = figure.locator("img").bounding_box(), figure.locator("rect.box-line").first.bounding_box()
    assert frame is not None
    assert box is not None
    scale = frame["width"] / 640
    assert frame["height"] == pytest.approx(360 * scale, abs=1)
    wanted = [frame["x"] + 40 * scale, frame["y"] + 60 * scale, 80 * scale, 200 * scale]
    is_at = [box["x"], box["y"], box["width"], box["height"]]
    assert is_at == pytest.approx(wanted, abs=CODING_PIXELS)


def test_a_picture_that_is_let_go_over_the_zone_is_asked_as_well(console: Console) -> None:
    drop(console, "dropped.jpg", picture(person=PERSON))
    assert len(drawn(side(console, "legacy"))) == 1
    status = console.region("Try a picture").get_by_role("status")
    expect(status).to_contain_text("dropped.jpg: Both sides see the same object.")


def test_a_picture_that_its_exif_turns_is_shown_and_read_upright(console: Console) -> None:
    """Stored lying, 640 × 360; upright it is 360 × 640, with the person at the right."""
    data = pictures.oriented("JPEG", CLOCKWISE, pixels=painted(person=PERSON))
    choose(console, "turned.jpg", data)
    figure = side(console, "legacy")
    (box,) = drawn(figure)
    upright = [360 - PERSON[1] - PERSON[3], PERSON[0], PERSON[3], PERSON[2]]
    assert box == pytest.approx(upright, abs=CODING_PIXELS)
    assert figure.locator("svg.boxes").get_attribute("viewBox") == "0 0 360 640"
    expect(figure.locator("img")).to_have_js_property("naturalWidth", 360)
    expect(figure).not_to_contain_text("the boxes may lie wrong")


def test_what_is_no_picture_is_refused_in_words_once(console: Console) -> None:
    console.watch.expect("status of 400")
    choose(console, "notes.txt", b"no picture at all", "text/plain")
    status = console.region("Try a picture").get_by_role("status")
    expect(status).to_have_text(
        "notes.txt: This is not a picture: it looks like text; expected JPEG, PNG or WebP. (400)"
    )
    expect(status.get_by_role("paragraph")).to_have_count(1)
    expect(side(console, "legacy")).to_have_count(0)


def test_what_each_side_refuses_in_its_own_words_is_told_for_each(console: Console) -> None:
    """A header that is right, and pixels that are not: only a side can see that."""
    console.watch.expect("status of 422")
    choose(console, "half.jpg", picture(person=PERSON)[:1500])
    status = console.region("Try a picture").get_by_role("status")
    expect(status).to_have_text("half.jpg: no side has an answer to it.")
    for name in ("legacy", "triton"):
        expect(side(console, name)).to_contain_text("No answer: ")
        expect(side(console, name)).to_contain_text("(422)")


def test_a_viewer_sees_what_the_rollout_decides_for(stage: Stage, a_page: Opener) -> None:
    page = a_page(stage.url, VIEWER)
    choose(page, "yard.jpg", picture(person=PERSON, car=CAR))
    assert len(drawn(side(page, "legacy"))) == 2
    expect(side(page, "triton")).to_have_count(0)
    expect(side(page, "legacy")).to_contain_text("by the share of all detectors")
    assert page.watch.paths("POST") == ["/api/detect"]
