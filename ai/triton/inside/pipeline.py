"""Encoded pictures in, detections out, for a whole batch: what a `_jpeg` model does between its two tensors.

Decoding runs side by side and frees the GIL; a picture that cannot be decoded is an answer of its own and
takes nobody with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ai.core.detections import Table
from ai.core.errors import InvalidDetections, InvalidImage
from ai.core.geometry import Fit
from ai.core.header import Bytes
from ai.core.image import Pixels
from ai.core.processing import Prepared, decoded_for, found, put_in
from ai.core.spec import DetectorSpec
from ai.engines.engine import Engine

NO_DETECTION = -1.0  # fills the rows behind the last detection, so that zeros are never an empty scene


class Found(NamedTuple):
    """In one picture."""

    rows: Table  # checked, best first
    width: int
    height: int


Outcome = Found | InvalidImage | InvalidDetections


class Answer(NamedTuple):
    """A network's, to one picture."""

    raw: npt.NDArray[np.float32]
    fit: Fit


Answered = Answer | InvalidImage


class Pipeline:
    def __init__(
        self, spec: DetectorSpec, engine: Engine, decode_threads: int, *, scaled: bool = False
    ) -> None:
        self.spec = spec
        self.engine = engine
        self._scaled = scaled  # JPEGs are decoded no larger than the input needs them
        self._decoders = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode")

    def detect(self, images: Sequence[Bytes]) -> list[Outcome]:
        """One outcome for each image, in their order."""
        return finished(self.answered(images), self.spec)

    def answered(self, images: Sequence[Bytes]) -> Iterable[Answered]:
        batch = self._room_for(images)
        prepared = self._prepare_into(batch, images)
        good = [index for index, one in enumerate(prepared) if isinstance(one, Prepared)]
        pixels = batch if len(good) == len(batch) else batch[good]
        raw = iter(self.engine.infer(pixels) if good else ())
        return [Answer(next(raw), one.fit) if isinstance(one, Prepared) else one for one in prepared]

    def close(self) -> None:
        self._decoders.shutdown(cancel_futures=True)

    def _prepare_all(self, images: Sequence[Bytes]) -> list[Prepared | InvalidImage]:
        return self._prepare_into(self._room_for(images), images)

    def _room_for(self, images: Sequence[Bytes]) -> Pixels:
        """What the engine is given: each picture is written to its own place, and not copied together later."""
        return np.empty((len(images), 3, self.spec.input_height, self.spec.input_width), np.uint8)

    def _prepare_into(self, batch: Pixels, images: Sequence[Bytes]) -> list[Prepared | InvalidImage]:
        if len(images) == 1:
            return [self._prepare(images[0], batch[0])]
        return list(self._decoders.map(self._prepare, images, batch))

    def _prepare(self, image: Bytes, into: Pixels) -> Prepared | InvalidImage:
        try:
            return put_in(*decoded_for(self.spec, image, scaled=self._scaled), into)
        except InvalidImage as error:
            return error


def finished(answered: Iterable[Answered], spec: DetectorSpec) -> list[Outcome]:
    return [one if isinstance(one, InvalidImage) else _finished(one, spec) for one in answered]


def _finished(answer: Answer, spec: DetectorSpec) -> Found | InvalidDetections:
    raw, place = answer
    try:
        return Found(found(raw, place, spec), place.source_width, place.source_height)
    except InvalidDetections as error:
        return error


def filled(found: Sequence[Found], spec: DetectorSpec) -> npt.NDArray[np.float32]:
    """[pictures, max_detections, 6]: what was found in each, then rows of NO_DETECTION."""
    answer = np.full((len(found), spec.max_detections, 6), NO_DETECTION, np.float32)
    for rows, (seen, _, _) in zip(answer, found, strict=True):
        best = seen[: spec.max_detections]
        rows[: len(best)] = best
    return answer
