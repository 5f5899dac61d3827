"""A pinhole camera over flat ground: world metres to pixels, and back to the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ai.demo.plans import Camera, Floats, floats

NEAR = 0.4  # metres; nothing nearer is drawn
FAR = 220.0


@dataclass(frozen=True, slots=True)
class View:
    width: int
    height: int
    focal: float  # pixels
    eye: float  # metres above the ground
    sin: float
    cos: float

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """World [N,3] to pixels [N,2] and distance along the view axis [N]."""
        up = points[:, 2] - self.eye
        depth = np.maximum(points[:, 1] * self.cos - up * self.sin, NEAR)
        down = -points[:, 1] * self.sin - up * self.cos
        pixels = np.stack([points[:, 0], down], axis=1) * (self.focal / depth)[:, None]
        return pixels + floats([self.width / 2, self.height / 2]), depth

    def pixel(self, x: float, y: float, z: float = 0.0) -> tuple[float, float]:
        uv, _ = self.project(np.array([[x, y, z]], dtype=np.float32))
        return float(uv[0, 0]), float(uv[0, 1])

    @property
    def horizon(self) -> float:
        return self.height / 2 - self.focal * self.sin / self.cos

    def ground_rows(self, top: int) -> tuple[Floats, Floats]:
        """For the rows from `top` down: how far along the view axis, and how far ahead."""
        slope = (np.arange(top, self.height, dtype=np.float32) + 0.5 - self.height / 2) / self.focal
        sink = np.maximum(self.sin + slope * self.cos, self.eye / FAR)
        along = np.float32(self.eye) / sink
        return along, along * (self.cos - slope * self.sin)

    def nearest(self) -> float:
        """How far ahead the ground enters the picture at its bottom edge."""
        return float(self.ground_rows(self.height - 1)[1][0])

    def reach(self, y: float) -> float:
        """Half the width of ground that is in the picture at this distance."""
        depth = y * self.cos + self.eye * self.sin
        return depth * self.width / 2 / self.focal


def view_of(camera: Camera, width: int, height: int) -> View:
    reference = math.sqrt(width * height * 9 / 16)  # the height, for a 16:9 picture
    focal = camera.focal * reference
    pitch = math.atan((0.5 - camera.horizon) * height / focal)
    return View(width, height, focal, camera.height, math.sin(pitch), math.cos(pitch))


def turned(points: Floats, heading: float) -> Floats:
    """Local metres (x ahead, y left, z up) turned about the upright axis."""
    c, s = math.cos(heading), math.sin(heading)
    return floats(points @ floats([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]))
