"""A picture with what both sides saw in it: legacy's boxes in solid blue, Triton's in dashed orange.

What differs is drawn thick, what both see thin; the lines tell the sides apart without their colours too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from ai.core.detections import Detection
from ai.core.image import Pixels
from ai.core.matching import DIFFERENCES, Comparison, Seen

MAX_SIDE_PX = 960
JPEG_QUALITY = 80

Colour = tuple[int, int, int]
LEGACY_COLOUR: Colour = (64, 156, 255)
TRITON_COLOUR: Colour = (255, 149, 0)
_INK: Colour = (0, 0, 0)
_DASH_PX, _GAP_PX = 9, 7
_FONT, _FONT_SCALE, _PAD_PX = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 3


@dataclass(frozen=True, slots=True)
class Drawn:
    jpeg: bytes
    width: int
    height: int
    scale: float  # of the picture as it came in

    def rows(self, seen: Iterable[Seen]) -> list[list[float]]:
        """x1, y1, x2, y2, score, class id, in pixels of the drawn picture."""
        return [
            [*(round(side * self.scale, 1) for side in one.detection[:4]), round(one.detection.score, 4),
             one.detection.class_id]
            for one in seen
        ]  # fmt: skip


def drawn(pixels: Pixels, comparison: Comparison) -> Drawn:
    """`pixels` are the upright picture's, in RGB."""
    height, width = pixels.shape[:2]
    scale = min(1.0, MAX_SIDE_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = pixels if scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    canvas = np.array(shrunk, dtype=np.uint8)
    for thick in (False, True):  # what differs lies on top
        _draw_side(canvas, comparison.legacy, scale, thick, LEGACY_COLOUR, dashed=False)
        _draw_side(canvas, comparison.other, scale, thick, TRITON_COLOUR, dashed=True)
    _draw_legend(canvas)
    return Drawn(simplejpeg.encode_jpeg(canvas, quality=JPEG_QUALITY), *size, scale)


def _draw_side(
    canvas: Pixels, seen: Sequence[Seen], scale: float, thick: bool, colour: Colour, *, dashed: bool
) -> None:
    """Triton's words stand below its boxes and legacy's above: what both see is named twice, not on top."""
    for one in seen:
        if (one.kind in DIFFERENCES) != thick:
            continue
        left, top, right, bottom = (round(side * scale) for side in one.detection[:4])
        draw_box(canvas, (left, top, right, bottom), colour, 3 if thick else 1, dashed)
        words = _words(one.detection, one.kind if thick else "")
        write(canvas, words, left, bottom if dashed else top, colour, below=dashed)


def _words(one: Detection, kind: str) -> str:
    return f"{kind} {one.label} {one.score:.2f}".strip()


def draw_box(
    canvas: Pixels, box: tuple[int, int, int, int], colour: Colour, thickness: int, dashed: bool
) -> None:
    """On a dark edge, so that it is seen on any ground."""
    left, top, right, bottom = box
    if not dashed:
        cv2.rectangle(canvas, (left, top), (right, bottom), _INK, thickness + 2)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, thickness)
        return
    for y in (top, bottom):
        for x in range(left, right, _DASH_PX + _GAP_PX):
            _dash(canvas, (x, y), (min(x + _DASH_PX, right), y), colour, thickness)
    for x in (left, right):
        for y in range(top, bottom, _DASH_PX + _GAP_PX):
            _dash(canvas, (x, y), (x, min(y + _DASH_PX, bottom)), colour, thickness)


def _dash(
    canvas: Pixels, start: tuple[int, int], end: tuple[int, int], colour: Colour, thickness: int
) -> None:
    cv2.line(canvas, start, end, _INK, thickness + 2)
    cv2.line(canvas, start, end, colour, thickness)


def write(
    canvas: Pixels, words: str, left: int, line: int, colour: Colour, *, below: bool, times: float = 1.0
) -> None:
    """On a ground of its own, and wholly inside the picture; `times` as large as in a small picture."""
    font_scale = _FONT_SCALE * times
    (width, height), _ = cv2.getTextSize(words, _FONT, font_scale, max(1, round(times)))
    box_width, box_height = width + 2 * _PAD_PX, height + 2 * _PAD_PX
    left = max(0, min(left, canvas.shape[1] - box_width))
    top = max(0, min(line if below else line - box_height, canvas.shape[0] - box_height))
    cv2.rectangle(canvas, (left, top), (left + box_width, top + box_height), _INK, cv2.FILLED)
    foot = left + _PAD_PX, top + height + _PAD_PX
    cv2.putText(canvas, words, foot, _FONT, font_scale, colour, max(1, round(times)), cv2.LINE_AA)


def _draw_legend(canvas: Pixels) -> None:
    write(canvas, "legacy: solid", 0, 0, LEGACY_COLOUR, below=True)
    write(canvas, "Triton: dashed", 120, 0, TRITON_COLOUR, below=True)
