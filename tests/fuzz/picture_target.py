"""Spoiled pictures through header and decoder: an InvalidImage, or a picture of the size that its header said."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np

from ai.core.errors import InvalidImage
from ai.core.header import MAX_IMAGE_PIXELS, ImageHeader, read_header
from ai.core.image import decode
from tests import pictures
from tests.fuzz.picture_seeds import FORMATS, file_of, heaviest
from tests.fuzz.picture_spoiling import nonsense_exif, spoiled_picture, with_exif
from tests.fuzz.target import ACCEPTED, hold

MAX_WORDS = 1_000


class Pictures:
    """Of one format."""

    memory_bound_mb = 64.0
    time_bound = 8.0

    def __init__(self, codec: str) -> None:
        self.name = codec
        self._codec = codec

    def make(self, number: int, rng: random.Random) -> bytes:
        return spoiled_picture(self._codec, rng)

    def ask(self, data: bytes) -> str:
        header = _read(data)
        try:
            pixels = decode(data)
        except InvalidImage as refusal:
            return _refused(refusal)
        if isinstance(header, InvalidImage):
            hold(False, f"decoded to {pixels.shape}, though its header was refused: {header}")
        hold(pixels.shape == (header.height, header.width, 3), f"{pixels.shape} is not what {header} says")
        hold(header.width * header.height <= MAX_IMAGE_PIXELS, f"{header} is over the limit")
        hold(pixels.dtype == np.uint8 and pixels.flags.c_contiguous, "no contiguous bytes")
        return ACCEPTED

    def controls(self) -> Sequence[bytes]:
        return heaviest(self._codec)

    def close(self) -> None:
        return


class Labels(Pictures):
    """Whole pictures under an EXIF label of nonsense: each is shown, turned as its header says and nothing else."""

    def __init__(self) -> None:
        super().__init__("jpeg")
        self.name = "exif"

    def make(self, number: int, rng: random.Random) -> bytes:
        codec = FORMATS[number % len(FORMATS)]
        return with_exif(plain(codec), nonsense_exif(rng))

    def controls(self) -> Sequence[bytes]:
        return [plain(codec) for codec in FORMATS]

    def ask(self, data: bytes) -> str:
        header = read_header(data)
        expected = turned(decode(plain(header.format)), header.orientation)
        hold(np.array_equal(decode(data), expected), f"not turned as {header} says")
        return ACCEPTED


@cache
def plain(codec: str) -> bytes:
    data = file_of(codec, pictures.scene())
    if codec != "webp":
        return data
    frame = data[12:]
    return data[:4] + (len(frame) + 22).to_bytes(4, "little") + b"WEBP" + _vp8x(48, 32) + frame


def _vp8x(width: int, height: int) -> bytes:
    kind, body = pictures.webp_vp8x(width, height, 0)
    return kind + len(body).to_bytes(4, "little") + body


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """By EXIF's own words of where row 0 and column 0 of the file lie in the picture, with nothing of the product."""
    ways = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.swapaxes(0, 1), 6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels.swapaxes(0, 1)[::-1, ::-1], 8: pixels.swapaxes(0, 1)[::-1],
    }  # fmt: skip
    return ways[orientation]


def _read(data: bytes) -> ImageHeader | InvalidImage:
    try:
        return read_header(data)
    except InvalidImage as refusal:
        return refusal


def _refused(refusal: InvalidImage) -> str:
    words = str(refusal)
    hold(10 < len(words) < MAX_WORDS, f"{len(words)} characters are no sentence: {words[:200]}")
    words.encode()
    return type(refusal).__name__
