"""What is sent: drawn camera scenes of fixed seeds, as JPEG files."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import cv2

from ai.demo.scenes import draw_scene

JPEG_QUALITY = 90
PICTURES = 8  # of each size, sent in turn, so that no cache sees one picture only


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int

    @classmethod
    def of(cls, text: str) -> Size:
        width, _, height = text.partition("x")
        size = cls(int(width), int(height))
        if not (64 <= size.width <= 4096 and 64 <= size.height <= 4096):
            raise ValueError(f"{text}: width and height are 64 to 4096 pixels")
        return size

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Pictures:
    """The files of one size."""

    size: Size
    paths: tuple[Path, ...]

    @property
    def jpeg_bytes(self) -> int:
        return int(statistics.median(path.stat().st_size for path in self.paths))


def draw_pictures(size: Size, folder: Path) -> Pictures:
    return Pictures(size, tuple(_draw(seed, size, folder / f"{size}-{seed}.jpg") for seed in range(PICTURES)))


def _draw(seed: int, size: Size, path: Path) -> Path:
    scene = draw_scene(seed, split="heldout", width=size.width, height=size.height)
    _, data = cv2.imencode(".jpg", scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(data.tobytes())
    return path
