"""Drawn cameras that live: a window pans to and fro over a painted scene that is wider than it, by day or by infrared.

Painting costs 0.2 s and is done once a camera; a frame is a cut with other light and other grain, in 2 ms. All objects
move alike, as before a camera on a motor, and come into view and leave it; where each is at any time is known exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice

import cv2
import numpy as np
import simplejpeg

from ai.core.geometry import Image
from ai.demo.plans import Scene, ScenePlan
from ai.demo.scenes import SEEN, plan_scene, render

NAMES = ("gate", "yard", "road", "park", "drive", "porch", "lane", "shed")
WIDTH, HEIGHT = 960, 540
JPEG_QUALITY = 90

_WIDE, _HIGH = 1680, 600  # pixels that are painted
_PERIOD_S = 40.0  # to the other end and back: at most 57 pixels a second
_SWAY_S = 13.0  # up and down
_FLICKER = 0.05  # of the brightness, either way
_GRAIN = 3.0  # standard deviation, of 255
_PLANS = 24  # of which the one with the most in it is painted
_FIRST_SEED = 80_000  # of scenes that nothing was trained with


@dataclass(frozen=True, slots=True)
class InView:
    """`number` is the object's own, as long as the scene lasts."""

    number: int
    class_id: int
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the frame


class LiveScene:
    def __init__(self, index: int) -> None:
        """The camera's; every third sees by infrared. It is thought out and painted with its first frame."""
        self._seed = index

    @property
    def is_infrared(self) -> bool:
        return self._seed % 3 == 1

    def frame(self, at_s: float) -> Image:
        left, top = _corner(at_s)
        cut = self._scene.image[top : top + HEIGHT, left : left + WIDTH]
        moment = np.random.default_rng((self._seed, round(at_s * 1000)))
        light = 1 + _FLICKER * math.sin(1.7 * at_s + self._seed)
        x, y = (int(place) for place in moment.integers(0, 64, 2))
        grain = self._grain[y : y + HEIGHT, x : x + WIDTH]
        return cv2.addWeighted(cut, light, grain, 1.0, -128.0).astype(np.uint8, copy=False)

    def jpeg(self, at_s: float) -> bytes:
        return simplejpeg.encode_jpeg(self.frame(at_s), JPEG_QUALITY, "RGB", "420")  # type: ignore[no-any-return]

    def truth(self, at_s: float) -> list[InView]:
        """What the frame shows, in the scene's own order; whoever shows less than a third is not counted."""
        left, top = _corner(at_s)
        found = []
        for number, (box, class_id) in enumerate(zip(self._scene.boxes, self._scene.class_ids, strict=True)):
            x1, y1, x2, y2 = (float(side) for side in box - np.array([left, top, left, top], np.float32))
            shown = (max(x1, 0.0), max(y1, 0.0), min(x2, float(WIDTH)), min(y2, float(HEIGHT)))
            if _area(shown) >= SEEN * _area((x1, y1, x2, y2)):
                found.append(InView(number, int(class_id), shown))
        return found

    @cached_property
    def _scene(self) -> Scene:
        return render(_fullest(self._seed, "night" if self.is_infrared else "day"))

    @cached_property
    def _grain(self) -> Image:
        """Round 128; larger than a frame, so that each may take it from elsewhere."""
        chance = np.random.default_rng(_FIRST_SEED + self._seed)
        coarse = chance.normal(128, _GRAIN, ((HEIGHT + 64) // 2, (WIDTH + 64) // 2)).astype(np.float32)
        fine = cv2.resize(coarse, (WIDTH + 64, HEIGHT + 64))
        return np.ascontiguousarray(np.repeat(fine.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2))


def camera_names(count: int) -> list[str]:
    """gate, yard, …, shed, gate-2, yard-2, …"""
    rounds = [(NAMES[index % len(NAMES)], index // len(NAMES) + 1) for index in range(count)]
    return [name if number == 1 else f"{name}-{number}" for name, number in rounds]


def _corner(at_s: float) -> tuple[int, int]:
    """Of the window: to and fro like a pendulum."""
    across = (1 - math.cos(2 * math.pi * at_s / _PERIOD_S)) / 2
    down = (1 - math.cos(2 * math.pi * at_s / _SWAY_S)) / 2
    return round(across * (_WIDE - WIDTH)), round(down * (_HIGH - HEIGHT))


def _fullest(index: int, light: str) -> ScenePlan:
    """Without fog and rain: a scene that is to be watched."""
    first = _FIRST_SEED + 1000 * index
    plans = (plan_scene(seed, "heldout", _WIDE, _HIGH) for seed in count(first))
    fit = (plan for plan in plans if plan.light == light and plan.weather == "clear")
    return max(islice(fit, _PLANS), key=lambda plan: len(plan.actors))


def _area(box: tuple[float, float, float, float]) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
