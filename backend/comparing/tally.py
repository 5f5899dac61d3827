"""What a comparison has found so far: counts under the names of `books`, evidence, and the worst pairs. No I/O."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from backend.observe.events import Compared
from backend.ramp.evidence import (
    Asked,
    Counted,
    Starts,
    band,
    clean_needed,
    ill,
    promote_at,
    rollback_at,
    well,
)
from backend.ramp.looks import Answer, Look, Point
from backend.rollout.books import MAX_CAMERAS, OTHERS, bin_of
from backend.shadow.pair_names import pair_names
from backend.shadow.pairs import Saw
from backend.sides import TRITON, Side

EPOCH: Final = "compare"
BAND_ALPHA: Final = 0.05
_TRAIL_GROWTH: Final = 1.1  # a point of the plot for each tenth more


@dataclass(slots=True)
class Tally:
    """`tolerance`: the share of pictures in which they may differ."""

    detector: str
    tolerance: float
    promote_alpha: float = 0.05
    rollback_alpha: float = 0.01
    counts: Counter[str] = field(default_factory=Counter)
    pairs: int = 0  # pictures that were asked about
    unreadable: int = 0  # pictures that both sides refuse
    labels: dict[int, str] = field(default_factory=dict)  # of the classes that were seen
    _starts: Starts = field(default_factory=Starts)
    _ill: float = 0.0
    _trail: list[Point] = field(default_factory=list)
    _next_point: float = 1.0
    _cameras: set[str] = field(default_factory=set)

    # --- what comes in ------------------------------------------------------------------------------------

    def refused(self) -> None:
        self.unreadable += 1

    def answered(self, role: Side, saw: Saw) -> None:
        self.counts[f"time.{role}.{bin_of(saw.took_s)}"] += 1
        self.labels.update((one.class_id, one.label) for one in saw.detections)
        if role == TRITON:
            self.counts["errors.0"] += 1

    def failed(self, role: Side, code: str) -> None:
        if role == TRITON:
            self.counts.update(["errors.1", f"error.{code}"])

    def judged(self, event: Compared) -> None:
        self.pairs += 1
        self.counts.update(pair_names(event, self._camera(event.camera or "")))
        if event.evidence is not None:
            self._ill, self._starts = ill(self._asked, self.evidence, self._starts)
            self._mark_trail()

    # --- what it comes to ---------------------------------------------------------------------------------

    @property
    def evidence(self) -> Counted:
        return Counted.of(self.counts, "disagreement")

    @property
    def differing(self) -> int:
        return self.counts["compared.different"] + self.counts["compared.triton_failed"]

    @property
    def answer(self) -> Answer:
        counted = self.evidence
        low, high = band(self._asked, counted, BAND_ALPHA) if counted.asked else (None, None)
        return Answer(
            "disagreement", counted.worse, counted.same, counted.better, self.tolerance, counted.rate, low, high,
            well(self._asked, counted), self._ill, promote_at(self.promote_alpha),
            rollback_at(self.rollback_alpha, questions=1, tries=1), clean_needed(self._asked, self.promote_alpha),
        )  # fmt: skip

    def look(self) -> Look:
        words = f"{self.evidence.asked:,} samples of {self.pairs:,} pictures"
        return Look(self.detector, EPOCH, time.time(), "measured", words, answers=(self.answer,),
                    trail=(*self._trail, *self._last()))  # fmt: skip

    @property
    def _asked(self) -> Asked:
        return Asked(self.tolerance, -1)

    def _mark_trail(self) -> None:
        if self.evidence.asked >= self._next_point:
            self._trail.append(self._point())
            self._next_point = self.evidence.asked * _TRAIL_GROWTH

    def _last(self) -> list[Point]:
        asked = self.evidence.asked
        return [self._point()] if asked and (not self._trail or self._trail[-1].samples < asked) else []

    def _point(self) -> Point:
        low, high = band(self._asked, self.evidence, BAND_ALPHA)
        return Point(self.evidence.asked, self.evidence.rate or 0.0, low, high)

    def _camera(self, name: str) -> str:
        """A folder of thousands of folders has as many cameras; a report names some."""
        if name not in self._cameras and len(self._cameras) >= MAX_CAMERAS:
            return OTHERS
        self._cameras.add(name)
        return name
