"""A batch on its way to the network: each picture in its own place, whatever becomes of the others."""

from contextlib import closing

import numpy as np
import pytest

from ai.core.errors import InvalidImage
from ai.triton.inside.pipeline import Found, Pipeline
from tests import pictures
from tests.tiny import SPEC


class Brightness:
    """Answers one cat, as sure as its picture is bright."""

    device = "cpu"

    def infer(self, pixels):
        self.seen = pixels
        rows = np.zeros((len(pixels), SPEC.max_detections, 6), np.float32)
        rows[:, 0, :4] = 8, 8, 40, 40
        rows[:, 0, 4] = pixels.mean(axis=(1, 2, 3)) / 255
        return rows


def grey(value: int, side: int = 64) -> bytes:
    return pictures.png(np.full((side, side, 3), value, np.uint8))


@pytest.fixture
def pipeline():
    with closing(Pipeline(SPEC, Brightness(), 2)) as one:
        yield one


def brightness(found) -> float:
    assert isinstance(found, Found)
    return float(found.rows[0][4])


def test_each_picture_has_its_own_answer_in_a_batch_with_bad_ones(pipeline):
    outcomes = pipeline.detect([grey(51), b"no picture", grey(102), grey(153), b"", grey(204)])
    assert isinstance(outcomes[1], InvalidImage)
    assert isinstance(outcomes[4], InvalidImage)
    good = [brightness(outcomes[index]) for index in (0, 2, 3, 5)]
    assert good == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.01)
    assert pipeline.engine.seen.shape == (4, 3, 64, 64)


def test_a_batch_without_a_good_picture_does_not_reach_the_network(pipeline):
    outcomes = pipeline.detect([b"no picture", b""])
    assert all(isinstance(one, InvalidImage) for one in outcomes)
    assert not hasattr(pipeline.engine, "seen")


def test_whole_batches_are_not_copied_once_more(pipeline):
    """What the engine is given is one block, with each picture where its decoder put it."""
    assert [brightness(one) for one in pipeline.detect([grey(51), grey(204)])] == pytest.approx(
        [0.2, 0.8], abs=0.01
    )
    assert pipeline.engine.seen.base is None
    assert pipeline.engine.seen.flags.c_contiguous


def test_one_picture_takes_the_same_way(pipeline):
    assert brightness(pipeline.detect([grey(102, side=200)])[0]) == pytest.approx(0.4, abs=0.01)


def test_scaled_pictures_see_the_same(pipeline):
    large = pictures.jpeg(np.full((512, 512, 3), 102, np.uint8))
    with closing(Pipeline(SPEC, Brightness(), 2, scaled=True)) as scaled:
        [found] = scaled.detect([large])
        assert brightness(found) == pytest.approx(brightness(pipeline.detect([large])[0]), abs=0.01)
        assert (found.width, found.height) == (512, 512)
