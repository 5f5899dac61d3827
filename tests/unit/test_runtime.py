"""The service's runtime with models that are wrong: never ready, never an empty scene, never another image's fault."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ai.core.detections import Detections
from ai.core.errors import InvalidDetections
from ai.core.image import ImageLimits
from ai.core.sample import sample_jpeg
from ai.serving.runtime import Answer, Runtime
from ai.web.problems import Busy, Late
from ai.yolo26.processing import spec


class Model:
    """Answers the rows it was told to, one set for each image in turn."""

    device = "cpu"

    def __init__(self, *answers):
        self.answers = answers
        self.asked = 0

    def infer(self, pixels):
        rows = [self.answers[(self.asked + index) % len(self.answers)] for index in range(len(pixels))]
        self.asked += len(pixels)
        return np.stack(rows)


def rows(x1=100.0, y1=200.0, x2=300.0, y2=400.0, score=0.9, class_id=2.0, count=300):
    table = np.zeros((count, 6), dtype=np.float32)
    table[0] = x1, y1, x2, y2, score, class_id
    return table


def runtime(load):
    return Runtime(spec(), load, ImageLimits(), max_in_flight=2, decode_threads=1)


def broken():
    raise OSError("no such weights")


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (broken, "no such weights"),
        (lambda: Model(rows(count=84)), "wrong weights?"),
        (lambda: Model(rows(score=np.nan)), "NaN"),
        (lambda: Model(rows(x1=300.0, x2=100.0)), "inverted"),
        (lambda: Model(rows(class_id=99.0)), "class outside"),
    ],
)
async def test_a_model_that_cannot_answer_a_real_picture_never_becomes_ready(load, why):
    """Warm-up takes the whole way of a picture, so nonsense is found before the first caller comes."""
    service = runtime(load)
    await service.start()
    assert service.state == "failed"
    assert why in service.failure
    with pytest.raises(Busy, match="not ready"):
        service.require_room()
    service.stop()


async def test_nonsense_about_one_image_is_not_held_against_the_others():
    service = runtime(lambda: Model(rows()))
    await service.start()
    service.engine = Model(rows(), rows(score=7.0), rows())
    images = [await service.decode(sample_jpeg) for _ in range(3)]
    outcomes = await service.infer(images)
    assert [type(outcome) for outcome in outcomes] == [Answer, InvalidDetections, Answer]
    assert isinstance(outcomes[0].detections, Detections)
    service.stop()


async def test_more_images_than_go_through_the_model_at_once_keep_their_order():
    service = runtime(lambda: Model(rows()))
    await service.start()
    service.engine = Model(*(rows(class_id=float(index)) for index in range(20)))
    images = [await service.decode(sample_jpeg) for _ in range(20)]
    seen = [outcome.detections.items[0].class_id for outcome in await service.infer(images)]
    assert seen == list(range(20))
    service.stop()


async def test_what_is_late_is_neither_decoded_nor_asked():
    service = runtime(lambda: Model(rows()))
    await service.start()
    asked = service.engine.asked
    with pytest.raises(Late):
        await service.detect(lambda: pytest.fail("it was unpacked"), expires_at=0.0)
    prepared = await service.decode(sample_jpeg)
    with pytest.raises(Late):
        await service.infer([prepared], expires_at=0.0)
    assert service.engine.asked == asked
    service.stop()


async def test_no_more_are_admitted_than_may_wait():
    service = runtime(lambda: Model(rows()))
    await service.start()
    with service.admitted(), service.admitted(), pytest.raises(Busy, match="no more than 2"):
        service.require_room()
    service.require_room()
    assert dataclasses.asdict(service.warm_ups)["runs"] == 3
    service.stop()
