"""What comes from others is text and never markup: a label, a camera, a reason, the name of a worker or a file."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, expect

from backend.rollout.store import Beat, Sample, SampleLimits, Store
from backend.rollout.stores.opening import open_store
from tests.browser.conftest import Opener
from tests.browser.page import Console
from tests.browser.sides import picture
from tests.browser.stage import ADMIN, Stage
from tests.browser.test_drop import ZONE

EVIL = '"><img src=x onerror=window.harmed=1><script>window.harmed=1</script>'
LIMITS = SampleLimits(count=100, total_bytes=10_000_000, age_s=3600)


@pytest.fixture
def store(stage: Stage) -> Iterator[Store]:
    """The backend's own, as another worker on this machine has it open."""
    store = open_store(f"sqlite:///{stage.backend.var / 'crossfade.db'}")
    yield store
    store.close()


@pytest.fixture
def page(stage: Stage, store: Store, a_page: Opener) -> Iterator[Console]:
    """A page on which all of it stands; afterwards it must not have done anything."""
    box = (10.0, 10.0, 60.0, 60.0, 0.9, 0.0)
    sample = Sample(
        "1", time.time(), "yolo26", EVIL, "", EVIL, EVIL, (EVIL,), (EVIL,), (box,), (), width=640, height=360
    )
    store.add_sample(sample, picture(person=(10, 10, 50, 50)), LIMITS)
    stage.set(EVIL, fraction=0.1, pins={EVIL: "legacy"})
    console = a_page(stage.url, ADMIN)
    yield console
    assert console.page.evaluate("window.harmed") is None
    assert console.page.locator("[onerror], img[src='x'], main script").count() == 0


def test_a_reason_and_a_pin_in_the_history_are_text(page: Console) -> None:
    expect(page.newest).to_contain_text(EVIL)
    page.newest.get_by_text("Which pins").click()
    expect(page.newest).to_contain_text(f"{EVIL}: not pinned → legacy")


def test_a_camera_a_kind_and_a_label_in_the_gallery_are_text(page: Console) -> None:
    gallery = page.region("Mismatches")
    expect(gallery.get_by_role("figure")).to_contain_text(f"{EVIL}: {EVIL}")
    expect(gallery.get_by_role("combobox", name="Class").get_by_role("option", name=EVIL)).to_be_attached()
    gallery.get_by_role("figure").get_by_role("button").click()
    expect(page.dialog.get_by_role("heading")).to_have_text(f"{EVIL}: {EVIL}")
    expect(page.dialog.get_by_role("button", name="Delete all of camera")).to_have_text(
        f"Delete all of camera {EVIL}…"
    )
    gallery.get_by_role("combobox", name="Class", include_hidden=True).select_option(EVIL, force=True)
    expect(gallery.get_by_role("figure", include_hidden=True)).to_have_count(1)


def test_a_worker_that_never_confirms_is_named_as_text(page: Console, store: Store) -> None:
    store.beat(Beat(EVIL, time.time(), 1))
    page.rolled_back(EVIL)
    expect(page.outcome).to_contain_text(f"not confirmed by: {EVIL}")
    expect(page.newest).to_contain_text(EVIL)
    store.forget(EVIL)


def test_a_files_name_is_text(page: Console) -> None:
    page.watch.expect("status of 400")
    file: FilePayload = {"name": f"{EVIL}.jpg".replace("/", "_"), "mimeType": "image/jpeg", "buffer": b"none"}
    page.page.get_by_label(ZONE).set_input_files(file)
    expect(page.region("Try a picture").get_by_role("status")).to_contain_text(file["name"])


def test_words_of_others_in_a_lost_update_are_text(page: Console, stage: Stage) -> None:
    page.watch.expect("status of 412")
    page.set_share(50)
    stage.set(EVIL, fraction=0.2)
    page.apply.click()
    expect(page.conflict).to_contain_text(EVIL)
