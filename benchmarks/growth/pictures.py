"""A picture of so many megapixels, and what a server pays to make a model's input of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

import cv2
import numpy as np

from ai.core.image import decode
from ai.demo.scenes import draw_scene
from ai.yolo26.processing import preprocess
from benchmarks.growth.series import Question, Series
from benchmarks.growth.timing import Plan, repeated
from benchmarks.pictures import JPEG_QUALITY

DECODED = Question(
    "picture-prepared", "picture", "A JPEG becomes a model's input: decoding, fitting", "MP", "µs of CPU a call",
    "linear", bound="25 MP, 10 MiB",
)  # fmt: skip


def series(plan: Plan, megapixels: Sequence[float]) -> Iterator[Series]:
    yield plan.times(DECODED, {mp: repeated(partial(_prepared, scaled_jpeg(mp))) for mp in megapixels})


def _prepared(jpeg: bytes) -> object:
    return preprocess(decode(jpeg))


@cache
def scaled_jpeg(megapixels: float) -> bytes:
    """A drawn scene at 16 : 9, enlarged where nothing is drawn so large, with the grain that a camera would have."""
    height = round((megapixels * 1e6 * 9 / 16) ** 0.5)
    scene = draw_scene(0, split="heldout", width=1280, height=720).image
    large = cv2.resize(scene, (round(height * 16 / 9), height), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(7).integers(-2, 3, large.shape, dtype=np.int16)
    grainy = np.clip(large.astype(np.int16) + grain, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", grainy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
