"""From a picture to a model's input, and from its rows back to detections: said once for every detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ai.core import heads
from ai.core.detections import Detections, Table, checked
from ai.core.errors import InvalidDetections
from ai.core.geometry import Fit, Image, fit
from ai.core.header import DEFAULT_LIMITS, Bytes, ImageLimits
from ai.core.image import decode, read_header
from ai.core.spec import DetectorSpec

MIN_BOX_SIDE_PX = 1.0  # what is thinner after clipping is the rim of something outside the picture


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model's input, and the way back from it."""

    pixels: npt.NDArray[np.uint8]  # [3, input_height, input_width], RGB
    fit: Fit


def prepare(image: Image, spec: DetectorSpec) -> Prepared:
    height, width = image.shape[:2]
    place = fit(spec.fit, width, height, spec.input_width, spec.input_height)
    return put_in(image, place)


def decoded_for(
    spec: DetectorSpec, data: Bytes, limits: ImageLimits = DEFAULT_LIMITS, *, scaled: bool = False
) -> tuple[Image, Fit]:
    """The picture, and where it goes; `scaled`: a JPEG no larger than its place needs it, so of other pixels."""
    data = bytes(data)
    header = read_header(data, limits)
    place = fit(spec.fit, header.width, header.height, spec.input_width, spec.input_height)
    least = (place.inner_width, place.inner_height) if scaled else None
    return decode(data, limits, least), place


def put_in(image: Image, place: Fit, into: Image | None = None) -> Prepared:
    """`into`: where the input is wanted, [3, input_height, input_width], such as a place in a batch."""
    return Prepared(planes(place.apply(image), into), place)


def planes(image: Image, into: Image | None = None) -> Image:
    """[height, width, 3] → [3, height, width], in a tenth of the time that NumPy takes for it."""
    apart = np.empty((3, *image.shape[:2]), np.uint8) if into is None else into
    cv2.split(image, list(apart))
    return apart


def finish(raw: npt.NDArray[Any], place: Fit, spec: DetectorSpec) -> Detections:
    """One image's answer, as `spec` describes it → every detection at or over the score floor, best first, in
    pixels of the picture."""
    rows = _located(raw, place, spec)
    return Detections.from_table(rows.tolist(), place.source_width, place.source_height, spec.labels)


def found(raw: npt.NDArray[Any], place: Fit, spec: DetectorSpec) -> Table:
    """The same as rows [n, 6]: for a server that hands on rows."""
    return checked(_located(raw, place, spec), place.source_width, place.source_height, len(spec.labels))


def _located(raw: npt.NDArray[Any], place: Fit, spec: DetectorSpec) -> Table:
    upright = _without_inverted(heads.read(raw, spec))
    upright[:, :4] = place.clip(place.inverse(upright[:, :4]))
    slivers = (upright[:, 2:4] - upright[:, :2] < MIN_BOX_SIDE_PX).any(axis=1)
    located: Table = upright[~slivers]
    return located


def _without_inverted(rows: Table) -> Table:
    """A head without constraints may invert a stray box; an answer of nothing else is a broken model, and
    must not read as an empty scene."""
    inverted: npt.NDArray[np.bool_] = (rows[:, 2:4] < rows[:, :2]).any(axis=1)
    if inverted.any() and inverted.all():
        raise InvalidDetections(f"each of the {len(rows)} boxes is inverted, the first is {rows[0].tolist()}")
    upright: Table = rows[~inverted]
    return upright
