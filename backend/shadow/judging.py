"""Two answers become one judged pair: alike or not, is that evidence, and a picture where they are not.

Comparing, looking at the light and drawing happen in one thread of its own; the event loop only waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import NamedTuple, TypeVar

from ai.core.detections import Detections, Thresholds
from ai.core.matching import BORDER, Comparison, compare
from backend.observe.events import Compared, Light
from backend.rollout.control import Rollout
from backend.rollout.store import SampleLimits
from backend.settings import Settings
from backend.shadow.epochs import Epochs
from backend.shadow.light import light_of
from backend.shadow.pairs import Again, Offer, Saw
from backend.shadow.sampling import Mismatch, Sampling
from backend.shadow.turns import MAX_BOXES, Box, Turns, changed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Look:
    """What a pair shows by itself."""

    seen: Detections  # by legacy, over the thresholds it is judged by
    boxes: Sequence[Box]  # what legacy saw, as turns know it: the same whoever asks
    light: Light
    comparison: Comparison | None  # None: Triton failed

    @property
    def differs(self) -> bool:
        return self.comparison is None or self.comparison.differs


class _Proof(NamedTuple):
    """What a pair proves: nothing at all, or so much, or it was to prove something and legacy gave no second answer."""

    evidence: int | None = None
    unproven: bool = False


IsCurrent = Callable[[str, int | None], bool]


def _always(_detector: str, _flag_version: int | None) -> bool:
    return True


class PairJudge:
    """`epoch_of` tells which epoch of its ramp a detector is in, "" without one, and `is_current` whether something
    was decided in it. `thresholds` are the service's: by them a scene has changed or not. None: the offers' own,
    where they are nobody's but ours."""

    def __init__(
        self,
        turns: Turns,
        sampling: Sampling,
        epoch_of: Callable[[str], str],
        thresholds: Thresholds | None = None,
        is_current: IsCurrent = _always,
    ) -> None:
        self._turns = turns
        self._sampling = sampling
        self._epoch_of = epoch_of
        self._thresholds = thresholds
        self._is_current = is_current
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")

    @classmethod
    def of(cls, rollout: Rollout, settings: Settings, thresholds: Thresholds) -> PairJudge:
        limits = SampleLimits(
            settings.shadow_samples, settings.shadow_samples_bytes, settings.shadow_samples_age_s
        )

        epochs = Epochs(rollout.flags)
        return cls(
            Turns(rollout.ask, settings.evidence_camera_gap_s),
            Sampling(rollout.ask, limits, settings.image_limits),
            lambda detector: epochs.of(detector).name,
            thresholds,
            lambda detector, version: epochs.of(detector).has(version),
        )

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def judge(self, offer: Offer, legacy: Saw, triton: Saw | None, again: Again) -> Compared:
        offer = self._judged_strictly(offer)
        look = await self._in_thread(lambda: _look(offer, legacy, triton, self._thresholds))
        proof = await self._proof(offer, look, legacy, again)
        comparison = look.comparison
        if comparison is None or triton is None:
            return Compared(
                offer.detector,
                "triton_failed",
                offer.camera,
                look.light,
                seen=_labels(look),
                evidence=proof.evidence,
                unproven=proof.unproven,
            )
        if comparison.differs:
            await self._keep(
                Mismatch(offer, comparison, look.light, triton.model_version, self._epoch_of(offer.detector))
            )
        return Compared(
            offer.detector,
            "different" if comparison.differs else "same",
            offer.camera,
            look.light,
            triton.took_s - legacy.took_s,
            comparison.mean_iou,
            comparison.differences,
            comparison.swaps,
            _labels(look),
            proof.evidence,
            triton.model_version,
            proof.unproven,
        )

    def _judged_strictly(self, offer: Offer) -> Offer:
        """A caller who wants to see little must not make two sides look alike."""
        if self._thresholds is None:
            return offer
        return replace(offer, thresholds=offer.thresholds.or_lower(self._thresholds))

    async def _proof(self, offer: Offer, look: _Look, legacy: Saw, again: Again) -> _Proof:
        """1{Triton ≠ legacy} − 1{legacy ≠ legacy again}. Legacy is asked again whatever Triton said, or its own noise
        would be known only where it is convenient."""
        if not await self._has_turn(offer, look):
            return _Proof()
        second = await again()
        if second is None:
            return _Proof(unproven=True)
        noise = await self._in_thread(
            lambda: _compared(legacy.detections, second.detections, offer.thresholds).differs
        )
        return _Proof(int(look.differs) - int(noise))

    async def _has_turn(self, offer: Offer, look: _Look) -> bool:
        """What an older epoch had decided takes no turn of this one, where it would not count."""
        if not self._is_current(offer.detector, offer.flag_version):
            return False
        epoch = self._epoch_of(offer.detector)
        return await self._turns.take(offer.detector, offer.camera, look.boxes, epoch, self._changed)

    async def _changed(self, before: Sequence[Box], now: Sequence[Box]) -> bool:
        return await self._in_thread(lambda: changed(before, now))

    async def _keep(self, mismatch: Mismatch) -> None:
        if not self._sampling.wants_one():
            return
        picture = await self._in_thread(lambda: self._sampling.drawn(mismatch.offer, mismatch.comparison))
        if picture is not None:
            await self._sampling.keep(mismatch, picture)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _look(offer: Offer, legacy: Saw, triton: Saw | None, thresholds: Thresholds | None) -> _Look:
    return _Look(
        legacy.detections.above(offer.thresholds),
        _boxes(legacy.detections, thresholds or offer.thresholds),
        light_of(offer.image),
        _compared(legacy.detections, triton.detections, offer.thresholds) if triton else None,
    )


def _compared(legacy: Detections, other: Detections, thresholds: Thresholds) -> Comparison:
    return compare(_best(legacy, thresholds), _best(other, thresholds), thresholds)


def _best(found: Detections, thresholds: Thresholds) -> Detections:
    """Those that are not far under their thresholds, and of more than enough the surest: what compares them takes
    the cube of their number."""
    near = [one for one in found if one.score >= thresholds.of(one.class_id) - BORDER]
    kept = nlargest(MAX_BOXES, near, key=lambda one: one.score) if len(near) > MAX_BOXES else near
    return Detections(tuple(kept), found.image_width, found.image_height)


def _boxes(found: Detections, thresholds: Thresholds) -> list[Box]:
    return [
        [
            *(round(side, 1) for side in one[:4]),
            one.class_id,
            int(one.score >= thresholds.of(one.class_id) + BORDER),
        ]
        for one in _best(found, thresholds)
    ]


def _labels(look: _Look) -> tuple[str, ...]:
    return tuple(one.label for one in look.seen)
