"""Pairs that differ, kept as pictures with both sides' boxes: a few, for a while, in the store and nowhere else."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from ai.core.errors import InvalidImage
from ai.core.image import ImageLimits, decode
from ai.core.matching import DIFFERENCES, Comparison
from backend.observe.events import Light
from backend.rollout.store import Sample, SampleLimits, StoreAway
from backend.shadow.drawing import Drawn, drawn
from backend.shadow.pairs import Offer
from backend.shadow.turns import AskStore

logger = logging.getLogger(__name__)

LEAST_GAP_S = 0.5  # between two pictures of one worker: a broken model differs hundreds of times a second


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A pair that differs, and what its picture is kept with."""

    offer: Offer
    comparison: Comparison
    light: Light
    model_version: str
    epoch: str  # the ramp's, or ""


class Sampling:
    def __init__(
        self,
        ask: AskStore,
        limits: SampleLimits,
        pictures: ImageLimits,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ask = ask
        self._limits = limits
        self._pictures = pictures
        self._clock = clock
        self._now = now
        self._last_at = float("-inf")

    def wants_one(self) -> bool:
        """Whether there is a place for a picture now; who asks has had it."""
        now = self._clock()
        if not self._limits.count or now - self._last_at < LEAST_GAP_S:
            return False
        self._last_at = now
        return True

    def drawn(self, offer: Offer, comparison: Comparison) -> Drawn | None:
        """Takes a while: not for the event loop. None where the picture cannot be read."""
        try:
            return drawn(decode(offer.image, self._pictures), comparison)
        except InvalidImage:
            return None

    async def keep(self, mismatch: Mismatch, picture: Drawn) -> None:
        """A store that is away does without it."""
        sample = self._sample(mismatch, picture)
        try:
            await self._ask(lambda store: store.add_sample(sample, picture.jpeg, self._limits))
        except StoreAway:
            logger.debug("a sample was not kept: the store is away")

    def _sample(self, mismatch: Mismatch, picture: Drawn) -> Sample:
        comparison, at = mismatch.comparison, self._now()
        unlike = [seen for seen in (*comparison.legacy, *comparison.other) if seen.kind in DIFFERENCES]
        return Sample(
            id=sample_id(at),
            at=at,
            detector=mismatch.offer.detector,
            camera=mismatch.offer.camera or "",
            epoch=mismatch.epoch,
            light=mismatch.light,
            model_version=mismatch.model_version,
            kinds=tuple(sorted({seen.kind for seen in unlike})),
            labels=tuple(sorted({seen.detection.label for seen in unlike})),
            legacy=picture.rows(comparison.legacy),
            triton=picture.rows(comparison.other),
            width=picture.width,
            height=picture.height,
        )


def sample_id(at: float) -> str:
    """Microseconds, so that a later one sorts after an earlier one, and a word that nobody guesses."""
    return f"{round(at * 1e6):016d}{secrets.token_hex(6)}"
