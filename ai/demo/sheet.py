"""A sheet of drawn scenes with what a detector finds in them: `python -m ai.demo.sheet --out sheet.jpg`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from ai.core.detections import Detections
from ai.core.geometry import Image
from ai.core.processing import finish, prepare
from ai.demo.evaluate import DETECTORS
from ai.demo.scenes import Split, draw_scene

WIDTH, HEIGHT, COLUMNS = 640, 360, 3
SHOWN_SCORE = 0.5
COLOURS = ((76, 201, 240), (247, 183, 49), (255, 99, 132), (120, 220, 130), (190, 140, 255), (255, 255, 255))
LINE, FONT = 2, cv2.FONT_HERSHEY_SIMPLEX


def sheet(split: Split, seeds: range, detector: str | None) -> Image:
    pictures = [draw_scene(seed, split, WIDTH, HEIGHT).image for seed in seeds]
    if detector:
        pictures = [
            _marked(picture, found)
            for picture, found in zip(pictures, _found(pictures, detector), strict=True)
        ]
    rows = [np.hstack(pictures[first : first + COLUMNS]) for first in range(0, len(pictures), COLUMNS)]
    return np.vstack(rows)


def _found(pictures: list[Image], detector: str) -> list[Detections]:
    known = DETECTORS[detector]()
    spec, engine = known.spec, known.load()
    prepared = [prepare(picture, spec) for picture in pictures]
    return [finish(engine.infer(one.pixels[None])[0], one.fit, spec) for one in prepared]


def _marked(picture: Image, found: Detections) -> Image:
    marked = picture.copy()
    for seen in found:
        if seen.score >= SHOWN_SCORE:
            colour = COLOURS[seen.class_id % len(COLOURS)]
            corner = (round(seen.x1), round(seen.y1))
            cv2.rectangle(marked, corner, (round(seen.x2), round(seen.y2)), colour, LINE, cv2.LINE_AA)
            words = f"{seen.label} {seen.score:.2f}"
            cv2.putText(marked, words, (corner[0], corner[1] - 5), FONT, 0.45, colour, 1, cv2.LINE_AA)
    return marked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a .jpg or .png to write")
    parser.add_argument("--split", choices=get_args(Split), default="heldout")
    parser.add_argument("--detector", choices=tuple(DETECTORS), help="mark what this one finds")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=9, help=f"a multiple of {COLUMNS}")
    args = parser.parse_args()
    if args.out.suffix not in {".jpg", ".png"}:
        parser.error(f"--out is {args.out}; it must end in .jpg or .png")
    if args.count < COLUMNS or args.count % COLUMNS:
        parser.error(f"--count is {args.count}; it must be a multiple of {COLUMNS}")
    picture = sheet(args.split, range(args.first_seed, args.first_seed + args.count), args.detector)
    if not cv2.imwrite(str(args.out), picture[..., ::-1]):
        parser.error(f"{args.out} cannot be written")


if __name__ == "__main__":
    main()
