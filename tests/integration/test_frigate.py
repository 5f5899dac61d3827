"""The snippet of docs/frigate.md, read out of the page and used as Frigate uses it, against a real backend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from ai.core.geometry import iou
from benchmarks.frigate_plugin import HEIGHT, LABELS, ROOM, WIDTH, Crop, Plugin, crops
from tests.backends import Backend, running_backend
from tests.services import ROOT, Service

pytestmark = pytest.mark.beside

PAGE = ROOT / "docs" / "frigate.md"
FIELDS = {"type", "api_url", "api_timeout", "api_key"}  # of DeepstackDetectorConfig
PATIENCE_S = 60.0  # the snippet's own would measure the machine that tests
CALLER = "a-callers-key"


@pytest.fixture(scope="module")
def snippet() -> dict[str, Any]:
    found = re.search(r"```yaml\n(detectors:\n.*?)```", PAGE.read_text(), re.S)
    assert found is not None
    told: dict[str, Any] = yaml.safe_load(found[1])
    return told


@pytest.fixture(scope="module")
def backend(yolo26: Service) -> Iterator[Backend]:
    with running_backend(legacy=yolo26, DETECT_DEADLINE_S="60", DEEPSTACK_DEADLINE_S="60",
                         API_KEYS=f"frigate:caller:{CALLER}") as backend:  # fmt: skip
        yield backend


@pytest.fixture(scope="module")
def regions() -> list[Crop]:
    return list(crops(12))


def plugin(snippet: dict[str, Any], backend: Backend, key: str = CALLER) -> Plugin:
    """As Frigate makes it of the page's lines; only the host is another."""
    told = snippet["detectors"]["crossfade"]
    return Plugin(told["api_url"].replace("http://HOST:8080", backend.url), PATIENCE_S, key)


def test_the_snippet_says_what_frigate_takes_and_nothing_else(snippet):
    told = snippet["detectors"]["crossfade"]
    assert told["type"] == "deepstack"
    assert not told.keys() - FIELDS
    assert (snippet["model"]["width"], snippet["model"]["height"]) == (WIDTH, HEIGHT)
    assert told["api_timeout"] > Plugin("").api_timeout  # the default is why there is such a line


def test_frigate_finds_what_stands_in_its_regions(snippet, backend, regions):
    """The control: by what was answered to another region's picture."""
    asked = plugin(snippet, backend)
    answers = [asked.detect_raw(one.pixels) for one in regions]
    found = sum(map(_is_found, regions, answers))
    by_chance = sum(map(_is_found, regions, answers[1:] + answers[:1]))
    assert found >= 0.6 * len(regions)
    assert by_chance <= 0.5 * found


def test_frigate_reads_all_that_was_sent_over_its_threshold(snippet, backend, regions):
    """It stops at the first that it cannot use: nothing that it could must come after."""
    asked = plugin(snippet, backend)
    for one in regions[:4]:
        sent = asked.ask(one.pixels).json()["predictions"]
        usable = [each for each in sent if each["confidence"] >= 0.4 and each["label"] in {*LABELS, "truck"}]
        rows = asked.detect_raw(one.pixels)
        assert len(sent) <= ROOM
        assert np.count_nonzero(rows[:, 1]) == len(usable)
        assert ((rows >= 0) & (rows[:, 2:].max() <= 1)).all()


def test_what_is_refused_is_an_empty_scene_to_frigate_and_a_status_to_everybody_else(
    snippet, backend, regions
):
    stranger = plugin(snippet, backend, key="nobody's")
    answer = stranger.ask(regions[0].pixels)
    assert answer.status_code == 401
    assert answer.json()["success"] is False
    assert not stranger.detect_raw(regions[0].pixels).any()


def test_patience_that_is_too_short_is_an_error_at_frigate_and_counted_here(snippet, backend, regions):
    hasty = Plugin(plugin(snippet, backend).api_url, 0.001, CALLER)
    with pytest.raises(requests.Timeout):
        hasty.detect_raw(regions[0].pixels)


def _is_found(one: Crop, rows: np.ndarray) -> bool:
    top, left, bottom, right = (rows[:, column] for column in (2, 3, 4, 5))
    boxes = np.stack([left * WIDTH, top * HEIGHT, right * WIDTH, bottom * HEIGHT], axis=1)
    overlap = iou(np.array([one.box]), boxes)[0]
    return bool(((overlap >= 0.5) & (rows[:, 0] == one.label) & (rows[:, 1] > 0)).any())
