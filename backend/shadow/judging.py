"""Two answers become one judged pair: alike or not, is that evidence, and a picture where they are not.

Comparing, looking at the light and drawing happen in one thread of its own; the event loop only waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ai.core.detections import Detections
from ai.core.matching import Comparison, compare
from backend.observe.events import Compared, Light
from backend.rollout.control import Rollout
from backend.rollout.store import SampleLimits
from backend.settings import Settings
from backend.shadow.light import light_of
from backend.shadow.pairs import Again, Offer, Saw
from backend.shadow.sampling import Mismatch, Sampling
from backend.shadow.turns import Turns

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Look:
    """What a pair shows by itself."""

    seen: Detections  # by legacy, over the thresholds
    light: Light
    comparison: Comparison | None  # None: Triton failed

    @property
    def differs(self) -> bool:
        return self.comparison is None or self.comparison.differs


class PairJudge:
    """`epoch_of` tells which epoch of its ramp a detector is in, "" without one."""

    def __init__(self, turns: Turns, sampling: Sampling, epoch_of: Callable[[str], str]) -> None:
        self._turns = turns
        self._sampling = sampling
        self._epoch_of = epoch_of
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")

    @classmethod
    def of(cls, rollout: Rollout, settings: Settings) -> PairJudge:
        limits = SampleLimits(
            settings.shadow_samples, settings.shadow_samples_bytes, settings.shadow_samples_age_s
        )

        def epoch_of(detector: str) -> str:
            state = rollout.flags.view.state
            ramp = state.ramps.get(detector) if state else None
            return ramp.epoch if ramp and ramp.is_on else ""

        return cls(
            Turns(rollout.ask, settings.evidence_camera_gap_s),
            Sampling(rollout.ask, limits, settings.image_limits),
            epoch_of,
        )

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def judge(self, offer: Offer, legacy: Saw, triton: Saw | None, again: Again) -> Compared:
        look = await self._in_thread(lambda: _look(offer, legacy, triton))
        evidence = await self._evidence(offer, look, legacy, again)
        comparison = look.comparison
        if comparison is None or triton is None:
            return Compared(
                offer.detector,
                "triton_failed",
                offer.camera,
                look.light,
                seen=_labels(look),
                evidence=evidence,
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
            evidence,
            triton.model_version,
        )

    async def _evidence(self, offer: Offer, look: _Look, legacy: Saw, again: Again) -> int | None:
        """1{Triton ≠ legacy} − 1{legacy ≠ legacy again}. Legacy is asked again whatever Triton said, or its own noise
        would be known only where it is convenient."""
        if not await self._turns.take(offer.detector, offer.camera, look.seen):
            return None
        second = await again()
        if second is None:
            return None
        noise = await self._in_thread(
            lambda: compare(legacy.detections, second.detections, offer.thresholds).differs
        )
        return int(look.differs) - int(noise)

    async def _keep(self, mismatch: Mismatch) -> None:
        if not self._sampling.wants_one():
            return
        picture = await self._in_thread(lambda: self._sampling.drawn(mismatch.offer, mismatch.comparison))
        if picture is not None:
            await self._sampling.keep(mismatch, picture)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _look(offer: Offer, legacy: Saw, triton: Saw | None) -> _Look:
    comparison = compare(legacy.detections, triton.detections, offer.thresholds) if triton else None
    return _Look(legacy.detections.above(offer.thresholds), light_of(offer.image), comparison)


def _labels(look: _Look) -> tuple[str, ...]:
    return tuple(one.label for one in look.seen)
