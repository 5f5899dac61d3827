"""Frigate's side of the wire: what its deepstack detector does with a region of a camera's picture, and no more.

After detectors/plugins/deepstack.py of github.com/blakeblackshear/frigate: the region at the model's size, a JPEG of
Pillow's usual quality, one form on a connection of its own, and of the answer what it reads before it stops.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import requests
from PIL import Image

from ai.core.labels import COCO_80
from ai.demo.scenes import draw_scene

WIDTH, HEIGHT = 320, 320
ROOM = 20  # rows of its answer: label, score, y_min, x_min, y_max, x_max, as shares of the region
LEAST_SCORE = 0.4  # it stops reading at the first that is lower
LABELS = tuple(
    label for label in COCO_80 if label != "truck"
)  # its own map has no truck, and reads it as a car
_FIRST_SEED = 71_000  # of scenes that nothing was trained with

Rows = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Plugin:
    """Its three settings, by their names in Frigate's configuration."""

    api_url: str
    api_timeout: float = 0.1
    api_key: str = ""

    def detect_raw(self, region: Pixels) -> Rows:
        answer = self.ask(region)
        rows = np.zeros((ROOM, 6), np.float32)
        for index, one in enumerate(answer.json().get("predictions") or ()):
            label = label_index(one["label"])
            if one["confidence"] < LEAST_SCORE or label is None:
                break
            top, left = one["y_min"] / HEIGHT, one["x_min"] / WIDTH
            rows[index] = label, one["confidence"], top, left, one["y_max"] / HEIGHT, one["x_max"] / WIDTH
        return rows

    def ask(self, region: Pixels) -> requests.Response:
        """It never looks at the status."""
        with io.BytesIO() as written:
            Image.fromarray(region).save(written, format="JPEG")
            files = {"image": written.getvalue()}
        with requests.Session() as session:
            session.trust_env = False  # a proxy of this machine is not Frigate's
            data = {"api_key": self.api_key}
            return session.post(self.api_url, data=data, files=files, timeout=self.api_timeout)


def label_index(label: str) -> int | None:
    name = "car" if label.lower() == "truck" else label.lower()
    return LABELS.index(name) if name in LABELS else None


@dataclass(frozen=True, slots=True)
class Crop:
    """A region around one thing of a drawn scene, at the model's size, and where that thing is in it."""

    pixels: Pixels
    box: tuple[float, float, float, float]  # x1, y1, x2, y2, in pixels of the crop
    label: int


def crops(scenes: int) -> Iterator[Crop]:
    """The largest thing of each scene that Frigate has a label for."""
    for seed in range(_FIRST_SEED, _FIRST_SEED + scenes):
        scene = draw_scene(seed, "heldout", 960, 540)
        sizes = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in scene.boxes]
        if sizes:
            which = int(np.argmax(sizes))
            label = label_index(COCO_80[scene.class_ids[which]])
            if label is not None:
                yield _crop(scene.image, scene.boxes[which], label)


def _crop(image: Pixels, box: npt.NDArray[np.float32], label: int) -> Crop:
    """Square, half as large again as the thing, at least as large as what is sent, and within the picture."""
    x1, y1, x2, y2 = map(float, box)
    height, width = image.shape[:2]
    side = int(min(max(WIDTH, 1.5 * max(x2 - x1, y2 - y1)), height, width))
    left = int(min(max((x1 + x2 - side) / 2, 0), width - side))
    top = int(min(max((y1 + y2 - side) / 2, 0), height - side))
    region = cv2.resize(image[top : top + side, left : left + side], (WIDTH, HEIGHT))
    scale = WIDTH / side
    place = ((x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale, (y2 - top) * scale)
    return Crop(np.asarray(region, np.uint8), place, label)
