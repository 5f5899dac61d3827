"""Footage of drawn cameras as a folder of JPEGs, to try things on: `python -m ai.demo.cameras --out DIR --frames 1000`.

Painting a scene takes a tenth of a second, so a few are painted and each is seen several times: the camera shakes, the
light flickers, the sensor is noisy. Legacy's boxes move with it, so that each frame proves something.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from ai.core.geometry import Image
from ai.demo.scenes import draw_scene

CAMERAS = ("gate", "yard", "road", "park")
WIDTH, HEIGHT = 960, 540
JPEG_QUALITY = 90
_MARGIN = 24  # pixels that a shake may cut off at each edge
_FIRST_SEED = 70_000  # of scenes that nothing was trained with


def frames(count: int, scenes: int) -> Iterator[tuple[str, bytes]]:
    """Camera and JPEG of each, the scenes in turn."""
    chance = np.random.default_rng(_FIRST_SEED)
    painted: list[Image] = []
    for number in range(count):
        if len(painted) < min(scenes, count):
            scene = draw_scene(_FIRST_SEED + number, "heldout", WIDTH + 2 * _MARGIN, HEIGHT + 2 * _MARGIN)
            painted.append(scene.image)
        which = number % scenes
        frame = _seen_again(painted[which], chance)
        yield CAMERAS[which % len(CAMERAS)], simplejpeg.encode_jpeg(frame, JPEG_QUALITY, "RGB", "420")


def _seen_again(image: Image, chance: np.random.Generator) -> Image:
    left, top = chance.integers(0, 2 * _MARGIN, 2)
    cut = image[top : top + HEIGHT, left : left + WIDTH]
    noise = chance.normal(0, 2, (HEIGHT // 2, WIDTH // 2, 1)).astype(np.float32)
    grain = cv2.resize(noise, (WIDTH, HEIGHT))[..., None]
    return np.ascontiguousarray(np.clip(cut * chance.uniform(0.9, 1.1) + grain, 0, 255), np.uint8)


def write(folder: Path, count: int, scenes: int) -> None:
    for number, (camera, jpeg) in enumerate(frames(count, scenes)):
        place = folder / camera / f"{number:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(jpeg)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder; each camera has one in it")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--scenes", type=int, default=100, help="that are painted (100)")
    args = parser.parse_args()
    if args.frames < 1 or args.scenes < 1:
        parser.error("--frames and --scenes must be 1 or more")
    write(args.out, args.frames, args.scenes)


if __name__ == "__main__":
    main()
