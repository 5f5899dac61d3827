"""What `crossfade detect --save-dir` writes: each picture with its boxes, under a name that is no other picture's."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from ai.core.header import ImageLimits
from ai.core.image import Pixels, decode
from backend.private_files import replace_with
from backend.shadow.drawing import LEGACY_COLOUR, TRITON_COLOUR, Colour, draw_box, write
from backend.sides import LEGACY
from backend.stack.errors import StackError

SUFFIX = ".boxes.jpg"
JPEG_QUALITY = 90
_SMALL_PX = 960  # a picture in which lines of one pixel and small letters are seen well
_COLOURS: Mapping[bool, Colour] = {True: LEGACY_COLOUR, False: TRITON_COLOUR}

Found = Sequence[Mapping[str, Any]]  # detections, as the API tells them


class Album:
    """The folder, and what each of these pictures is called there: the same each time for the same pictures."""

    def __init__(self, folder: Path, sources: Sequence[Path], limits: ImageLimits) -> None:
        self._folder = folder
        self._sources = sources
        self._limits = limits
        places = {source.resolve() for source in sources}
        self._alike = Counter(place.name.casefold() for place in places)
        _make(folder)

    def place_of(self, source: Path) -> Path:
        """Pictures of one name that lie in several folders are told apart by a few letters made of the folder's."""
        source = source.resolve()
        name = source.name
        if self._alike[name.casefold()] > 1:
            name += "." + hashlib.blake2b(bytes(source), digest_size=6).hexdigest()
        return self._folder / f"{name}{SUFFIX}"

    def keep(self, source: Path, encoded: bytes, found: Mapping[str, Found]) -> Path:
        """InvalidImage where it cannot be decoded here, StackError where it cannot be written."""
        place = self.place_of(source)
        if any(_is_same(place, other) for other in self._sources):
            raise StackError(f"{place} is itself a picture that was asked for, and is not written over")
        content = drawn(decode(encoded, self._limits), found)
        try:
            replace_with(place, content)
        except OSError as error:
            raise StackError(f"{place} cannot be written: {error.strerror or error}") from error
        return place


def drawn(pixels: Pixels, found: Mapping[str, Found]) -> bytes:
    """By side: legacy's solid blue with words above, Triton's dashed orange with words below."""
    canvas = np.array(pixels, dtype=np.uint8)
    times = max(1.0, max(canvas.shape[:2]) / _SMALL_PX)
    for side, boxes in found.items():
        is_legacy = side == LEGACY
        for one in boxes:
            left, top, right, bottom = _corners(one["bbox"])
            words, colour = f"{one['class']} {one['confidence']:.2f}", _COLOURS[is_legacy]
            draw_box(canvas, (left, top, right, bottom), colour, round(2 * times), dashed=not is_legacy)
            line = top if is_legacy else bottom
            write(canvas, words, left, line, colour, below=not is_legacy, times=times)
    encoded: bytes = simplejpeg.encode_jpeg(canvas, quality=JPEG_QUALITY)
    return encoded


def _corners(box: Mapping[str, float]) -> tuple[int, int, int, int]:
    right, bottom = box["x"] + box["width"], box["y"] + box["height"]
    return round(box["x"]), round(box["y"]), round(right), round(bottom)


def _is_same(one: Path, other: Path) -> bool:
    """Also by another name: a link of either kind."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(f"--save-dir {folder}: {error.strerror or error}") from error
