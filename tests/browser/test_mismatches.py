"""The gallery: pairs that really differ, made by a Triton that sees no cars and calls dogs cats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Opener
from tests.browser.page import Console
from tests.browser.sides import picture
from tests.browser.stage import ADMIN, Stage

PERSON, CAR, DOG = (40, 60, 80, 200), (300, 200, 160, 80), (480, 40, 100, 60)
SAMPLES = "/api/rollout/samples"
MISSED, SWAPPED = "Triton misses it: car", "another class: cat, dog"


@pytest.fixture(scope="module")
def differing(shared_stage: Stage) -> Iterator[Stage]:
    """A car that yolo26 misses, a dog that it calls a cat, and a car that rtdetr misses; and one pair alike."""
    stage = shared_stage
    stage.freshen()
    stage.set(shadow=1.0)
    stage.until_all_obey()
    keep(stage, "yard", detector="yolo26", kind="missed", person=PERSON, car=CAR)
    keep(stage, "street", detector="yolo26", kind="swapped", dog=DOG)
    keep(stage, "yard", detector="rtdetr", kind="missed", car=CAR)
    yield stage
    stage.set(shadow=0.0)


def keep(stage: Stage, camera: str, *, detector: str, kind: str, **places: tuple[int, int, int, int]) -> None:
    """Asked until a pair is kept: a worker keeps two a second at most."""
    wanted = {"camera": camera, "detector": detector, "kind": kind}

    def is_kept() -> bool:
        stage.detect(picture(**places), camera=camera, detector=detector)
        return bool(kept(stage, **wanted))

    stage.backend.until(is_kept, f"no {kind} of {detector} was kept")


def kept(stage: Stage, **wanted: str) -> list[dict[str, Any]]:
    return list(stage.ask("GET", SAMPLES, params=wanted).json()["samples"])


@pytest.fixture
def gallery(differing: Stage, a_page: Opener) -> Console:
    return a_page(differing.url, ADMIN)


def figures(page: Console) -> Locator:
    return page.region("Mismatches").get_by_role("figure")


def choose(page: Console, what: str, value: str) -> None:
    page.region("Mismatches").get_by_role("combobox", name=what).select_option(value)


def test_each_pair_has_its_picture_and_says_what_differs(gallery: Console, differing: Stage) -> None:
    expect(figures(gallery)).to_have_count(len(kept(differing)))
    for words in (MISSED, SWAPPED):
        expect(figures(gallery).filter(has_text=words).first).to_be_visible()
    gallery.region("Mismatches").scroll_into_view_if_needed()
    for image in figures(gallery).locator("img").all():
        expect(image).to_have_js_property("complete", True)
        expect(image).to_have_js_property("naturalWidth", 640)


def test_it_is_filtered_by_detector_class_and_kind(gallery: Console, differing: Stage) -> None:
    for filters in (
        {"Kind": "swapped"}, {"Class": "car"}, {"Detector": "rtdetr"}, {"Detector": "yolo26", "Class": "car"},
        {"Detector": "rtdetr", "Kind": "swapped"},
    ):  # fmt: skip
        asked = {name.lower(): value for name, value in filters.items()}
        for name in ("Detector", "Class", "Kind"):
            choose(gallery, name, filters.get(name, ""))
        count = len(kept(differing, **asked))
        expect(figures(gallery)).to_have_count(count)
    assert count == 0
    expect(gallery.region("Mismatches")).to_contain_text("No kept pair is of this kind.")


def test_in_large_it_shows_the_picture_and_what_each_side_has_of_each_thing(
    gallery: Console, differing: Stage
) -> None:
    choose(gallery, "Detector", "yolo26")
    choose(gallery, "Class", "car")
    expect(figures(gallery)).to_have_count(len(kept(differing, detector="yolo26", **{"class": "car"})))
    figures(gallery).first.get_by_role("button").click()
    dialog = gallery.dialog
    expect(dialog).to_have_accessible_name(MISSED)
    expect(dialog.locator("img")).to_have_js_property("naturalWidth", 640)
    readings = dialog.get_by_role("listitem")
    expect(readings).to_have_count(2)
    expect(readings.nth(0)).to_contain_text("legacy: car 0.90")
    expect(readings.nth(0)).to_contain_text("Triton: nothing there")
    expect(readings.nth(1)).to_contain_text(
        "legacy: person 0.90 at the left (40, 60; 80 × 200); Triton: person 0.90"
    )
    gallery.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_arrow_keys_lead_from_one_pair_to_the_next_and_the_focus_comes_back(
    gallery: Console, differing: Stage
) -> None:
    expect(figures(gallery)).to_have_count(len(kept(differing)))
    opener = figures(gallery).first.get_by_role("button")
    opener.focus()
    gallery.page.keyboard.press("Enter")
    about = gallery.dialog.locator(".mismatch-about")
    expect(gallery.dialog.get_by_role("button", name="Newer")).to_be_disabled()
    told = [about.inner_text()]
    for _ in range(figures(gallery).count() - 1):
        gallery.page.keyboard.press("ArrowRight")
        told.append(about.inner_text())
    expect(gallery.dialog.get_by_role("button", name="Older")).to_be_disabled()
    assert len({*told}) >= 3
    gallery.page.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_those_of_a_camera_are_deleted_once_somebody_has_said_so_twice(
    gallery: Console, differing: Stage
) -> None:
    figures(gallery).filter(has_text="camera street").first.get_by_role("button").click()
    gallery.dialog.get_by_role("button", name="Delete all of camera street…").click()
    sure = gallery.page.get_by_role("dialog", name="Delete all pictures of camera street?")
    assert kept(differing, camera="street")
    sure.get_by_role("button", name="Delete for good").click()
    expect(figures(gallery).filter(has_text="camera street")).to_have_count(0)
    expect(figures(gallery).filter(has_text="camera yard").first).to_be_visible()
    assert kept(differing, camera="street") == []
