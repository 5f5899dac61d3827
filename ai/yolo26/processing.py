"""YOLO26's way in and out: a letterboxed picture, the rows of its NMS-free head. Pure, without torch."""

from functools import cache
from pathlib import Path

from ai.core import processing
from ai.core.detections import Detections, Rows
from ai.core.geometry import Fit, Image
from ai.core.processing import Prepared
from ai.core.spec import DetectorSpec


@cache
def spec() -> DetectorSpec:
    return DetectorSpec.load(Path(__file__).with_name("detector.toml"))


def preprocess(image: Image) -> Prepared:
    return processing.prepare(image, spec())


def postprocess(rows: Rows, fit: Fit) -> Detections:
    return processing.finish(rows, fit, spec().exported())
