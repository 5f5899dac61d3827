"""How an image is fitted into a model's input, and how boxes find their way back.

`letterbox` keeps the proportions and pads; `stretch` fills the input and does not. Both are the same affine
map per axis, x' = x · scale + pad, so one inverse serves both. The scale is the one that the resized image
really has (whole pixels over whole pixels), not the ideal ratio: that would bring every box back a little off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

FitKind = Literal["letterbox", "stretch"]
Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]

PAD_VALUE = 114  # the grey that YOLO and RT-DETR were trained with around an image


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a source image lies inside a target canvas, in whole pixels."""

    source_width: int
    source_height: int
    target_width: int
    target_height: int
    inner_width: int
    inner_height: int
    left: int
    top: int

    @property
    def scale(self) -> tuple[float, float]:
        return self.inner_width / self.source_width, self.inner_height / self.source_height

    def forward(self, boxes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """xyxy in source pixels → xyxy in target pixels."""
        return np.asarray(boxes, dtype=np.float64) * (self.scale * 2) + (self.left, self.top) * 2

    def inverse(self, boxes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """xyxy in target pixels → xyxy in source pixels, not clipped."""
        return (np.asarray(boxes, dtype=np.float64) - (self.left, self.top) * 2) / (self.scale * 2)

    def clip(self, boxes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """xyxy in source pixels, cut to the source image."""
        width, height = self.source_width, self.source_height
        return np.asarray(boxes, dtype=np.float64).clip(0, (width, height, width, height))

    def apply(self, image: Image) -> Image:
        """The image resized and padded into the canvas; [target_height, target_width, 3]."""
        size = (self.inner_width, self.inner_height)
        inner = image if size == (image.shape[1], image.shape[0]) else cv2.resize(image, size)
        if size == (self.target_width, self.target_height):
            return np.ascontiguousarray(inner, dtype=np.uint8)
        canvas = np.full((self.target_height, self.target_width, 3), PAD_VALUE, dtype=np.uint8)
        canvas[self.top : self.top + self.inner_height, self.left : self.left + self.inner_width] = inner
        return canvas


def letterbox(source_width: int, source_height: int, target_width: int, target_height: int) -> Fit:
    ratio = min(target_width / source_width, target_height / source_height)
    inner_width = max(1, round(source_width * ratio))
    inner_height = max(1, round(source_height * ratio))
    left, top = (target_width - inner_width) // 2, (target_height - inner_height) // 2
    return Fit(source_width, source_height, target_width, target_height, inner_width, inner_height, left, top)


def stretch(source_width: int, source_height: int, target_width: int, target_height: int) -> Fit:
    return Fit(source_width, source_height, target_width, target_height, target_width, target_height, 0, 0)


def fit(kind: FitKind, source_width: int, source_height: int, target_width: int, target_height: int) -> Fit:
    place = letterbox if kind == "letterbox" else stretch
    return place(source_width, source_height, target_width, target_height)


def iou(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Intersection over union of every box of `a` [n, 4] with every box of `b` [m, 4]."""
    rows, columns = np.asarray(a, dtype=np.float64).T[..., None], np.asarray(b, dtype=np.float64).T[:, None]
    # A table for each side of a box: numpy takes five times as long over pairs that lie side by side in one.
    widths = (np.minimum(rows[2], columns[2]) - np.maximum(rows[0], columns[0])).clip(0, None)
    heights = (np.minimum(rows[3], columns[3]) - np.maximum(rows[1], columns[1])).clip(0, None)
    shared: npt.NDArray[np.float64] = widths * heights
    union = _area(rows) + _area(columns) - shared
    with np.errstate(invalid="ignore"):  # two boxes without area share nothing
        return np.nan_to_num(shared / union)


def _area(sides: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    area: npt.NDArray[np.float64] = (sides[2] - sides[0]) * (sides[3] - sides[1])
    return area
