"""A detector of coloured patches, for both sides: what it sees is really in the picture, and costs next to nothing.

Red is a person, blue a car, green a dog. A Triton that was made wrong on purpose does not see the car, and calls the
dog a cat. This text is also the beginning of the Triton's own model file: it imports nothing of the tests.
"""

from __future__ import annotations

import cv2
import numpy as np

PERSON, CAR, CAT, DOG = 0, 2, 15, 16  # of COCO's classes
COLOURS = {PERSON: (220, 20, 20), CAR: (20, 20, 220), DOG: (20, 200, 20)}
GROUND = 90  # a grey
WIDTH, HEIGHT, MOST = 640, 640, 10
SCORE = 0.9
LEAST_PIXELS = 16


def rows_of(pixels: np.ndarray) -> np.ndarray:
    """[MOST, 6] of an RGB picture [3, HEIGHT, WIDTH]: x1, y1, x2, y2, score, class; what is left has no score."""
    rows, found = np.zeros((MOST, 6), np.float32), 0
    for kind, colour in COLOURS.items():
        near = np.abs(pixels.astype(np.int16) - np.array(colour).reshape(3, 1, 1)).max(axis=0) < 60
        _, _, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8))
        for x, y, width, height, area in stats[1:]:
            if area >= LEAST_PIXELS and found < MOST:
                rows[found] = x, y, x + width, y + height, SCORE, kind
                found += 1
    return rows
