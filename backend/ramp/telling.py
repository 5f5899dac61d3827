"""What one worker tells of the ramps: where each stands, what the comparisons found, and whether it waits for a person.

Every worker sees where a ramp stands; what it waits for is known to the one that leads, and to nobody else.
"""

from __future__ import annotations

from backend.observe.events import DisagreementMeasured, Observer, RampStands, RampStepped, RampWaits
from backend.rollout.books import Counts
from backend.rollout.state import RolloutState

ON_ITS_WAY = ("baseline", "running")


class Telling:
    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._steps: dict[str, int] = {}  # as they were told
        self._standing: dict[str, RampStands] = {}  # as it was told
        self._led: set[str] = set()  # the detectors that this worker told the waiting of

    def stands(self, state: RolloutState) -> None:
        for detector, ramp in state.ramps.items():
            step = ramp.step if ramp.is_on else -1
            if self._steps.get(detector) != step:
                self._steps[detector] = step
                self._observe(RampStepped(detector, step))
            standing = RampStands(detector, ramp.phase in ON_ITS_WAY, ramp.step_at)
            if self._standing.get(detector) != standing:
                self._standing[detector] = standing
                self._observe(standing)

    def waits(self, detector: str, for_a_person: bool) -> None:
        self._led.add(detector)
        self._observe(RampWaits(detector, for_a_person))

    def leads(self, detectors: set[str]) -> None:
        """Those whose ramps this worker leads now; of any other it says no more that somebody is waited for."""
        for detector in self._led - detectors:
            self._observe(RampWaits(detector, False))
        self._led &= detectors

    def disagreement(self, detector: str, counts: Counts) -> None:
        different = counts.get("compared.different", 0) + counts.get("compared.triton_failed", 0)
        judged = different + counts.get("compared.same", 0)
        if judged:
            self._observe(DisagreementMeasured(detector, different / judged))
