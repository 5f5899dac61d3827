"""The pictures in which the two differ most, shrunk and few: a comparison may be of a million."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter

import cv2
import numpy as np
import simplejpeg

from ai.core.errors import InvalidImage
from ai.core.image import ImageLimits, Pixels, decode
from ai.core.matching import Comparison
from backend.report.report import KIND_WEIGHTS, PICTURES
from backend.rollout.store import Sample, SampleLimits
from backend.shadow.drawing import JPEG_QUALITY, Drawn
from backend.shadow.pairs import Offer
from backend.shadow.sampling import Mismatch, Sampling
from backend.shadow.turns import AskStore

MAX_SIDE_PX = 720  # two stand side by side


class Worst(Sampling):
    """What the judge keeps pictures with. They are kept without boxes: the page lays each side's over it."""

    def __init__(self, ask: AskStore, pictures: ImageLimits, count: int = PICTURES) -> None:
        super().__init__(ask, SampleLimits(count, 1, 1.0), pictures)
        self._count = count
        self._order = itertools.count()
        self._kept: list[tuple[int, int, Sample, bytes]] = []  # a heap, the least grave first
        self._gravity = 0

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Gravest first."""
        return tuple(sample for _, _, sample, _ in sorted(self._kept, key=lambda one: (-one[0], -one[1])))

    @property
    def pictures(self) -> dict[str, bytes]:
        return {sample.id: picture for _, _, sample, picture in self._kept}

    def wants_one(self) -> bool:
        return self._count > 0

    def drawn(self, offer: Offer, comparison: Comparison) -> Drawn | None:
        """None where it is no worse than what is kept: most need not even be decoded."""
        self._gravity = gravity(comparison)
        if len(self._kept) >= self._count and self._gravity <= self._kept[0][0]:
            return None
        try:
            return _shrunk(decode(offer.image, self._pictures))
        except InvalidImage:
            return None

    async def keep(self, mismatch: Mismatch, picture: Drawn) -> None:
        # Of two that are alike the first one stays: a video shows the same difference for a while.
        entry = (self._gravity, -next(self._order), self._sample(mismatch, picture), picture.jpeg)
        if len(self._kept) < self._count:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heapreplace(self._kept, entry)


def gravity(comparison: Comparison) -> int:
    kinds = Counter(kind for kind, _ in comparison.differences)
    return sum(KIND_WEIGHTS[kind] * count for kind, count in kinds.items())


def _shrunk(pixels: Pixels) -> Drawn:
    height, width = pixels.shape[:2]
    scale = min(1.0, MAX_SIDE_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = pixels if scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=JPEG_QUALITY)
    return Drawn(jpeg, *size, scale)
