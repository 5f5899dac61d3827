"""What one worker tells of the ramps: where each stands, what the comparisons found, and whether it waits for a person.

Every worker sees where a ramp stands; what it waits for, and what was found, is known to the one that leads, and to
nobody else: who leads no more takes back what it said.
"""

from __future__ import annotations

from dataclasses import replace

from backend.observe.events import DisagreementMeasured, Observer, RampStands, RampStepped, RampWaits
from backend.rollout.books import Counts
from backend.rollout.ramps import Ramp
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
            self._tell(_standing(detector, ramp, state), ramp.step if ramp.is_on else -1)
        for detector in (
            self._standing.keys() - state.ramps.keys()
        ):  # a store that was put back to an older day
            self._tell(replace(self._standing[detector], running=False, rolled_back=False), -1)

    def waits(self, detector: str, for_a_person: bool) -> None:
        self._led.add(detector)
        self._observe(RampWaits(detector, for_a_person))

    def leads(self, detectors: set[str]) -> None:
        """Those whose ramps this worker leads now; of any other it has nothing more to say."""
        for detector in self._led - detectors:
            self._observe(RampWaits(detector, False))
            self._observe(DisagreementMeasured(detector, None))
        self._led &= detectors

    def disagreement(self, detector: str, counts: Counts) -> None:
        different = counts.get("compared.different", 0) + counts.get("compared.triton_failed", 0)
        judged = different + counts.get("compared.same", 0)
        self._observe(DisagreementMeasured(detector, different / judged if judged else None))

    def _tell(self, standing: RampStands, step: int) -> None:
        detector = standing.detector
        if self._steps.get(detector) != step:
            self._steps[detector] = step
            self._observe(RampStepped(detector, step))
        if self._standing.get(detector) != standing:
            self._standing[detector] = standing
            self._observe(standing)


def _standing(detector: str, ramp: Ramp, state: RolloutState) -> RampStands:
    running = ramp.phase in ON_ITS_WAY and not ramp.dry_run
    rolled_back = ramp.has_rolled_back and not state.fraction_of(detector)
    return RampStands(detector, running, ramp.step_at, rolled_back)
