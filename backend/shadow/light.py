"""Was it taken by day or by the camera's own infrared lamp? A detector may fail by the one and shine by the other.

Told from an eighth of the picture's size: a picture with nearly no colour is infrared. Of 720 drawn scenes (day, dusk
and night, both splits, JPEG quality 60 to 90) none is told wrong; the greyest of a day is a fog that has 7 where 5 is
the most that infrared may have.
"""

from __future__ import annotations

import cv2
import numpy as np

from ai.core.errors import InvalidImage
from ai.core.header import Bytes
from ai.core.image import Pixels, decode
from backend.observe.events import Light

MAX_CHROMA = 5  # of 255: the greatest channel minus the least. JPEG and sensors tint grey by that much …
GREY_SHARE = 0.9  # … and a clock or a logo in the picture may be coloured
_JPEG = b"\xff\xd8"
_REDUCED = cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION


def light_of(image: Bytes) -> Light:
    """Of a picture that a side could read; "day" where it cannot be read here."""
    pixels = _small(image)
    if pixels is None:
        return "day"
    chroma = np.ptp(pixels, axis=2)
    return "infrared" if float((chroma <= MAX_CHROMA).mean()) >= GREY_SHARE else "day"


def _small(image: Bytes) -> Pixels | None:
    """JPEG leaves an eighth undecoded; of the other types OpenCV gets only what `decode` has proven."""
    try:
        if image[:2] != _JPEG:
            return np.ascontiguousarray(decode(image)[::8, ::8])
        return cv2.imdecode(np.frombuffer(image, np.uint8), _REDUCED)  # type: ignore[return-value]
    except (cv2.error, InvalidImage):
        return None
